"""Searches every place where a secret could appear for texts that must not be seen."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.commands.common import configured
from app.database.database import Database
from app.database.tables import metadata
from containers.scopes import ScopeError
from tests.fakes.leaks import everything_in

OUR_PACKAGES = ("app.", "containers.", "interfaces.")


def seen_in(text: str, canaries: Collection[str]) -> set[str]:
    """Return the canaries that a text contains."""
    return {canary for canary in canaries if canary in text}


class Records(logging.Handler):
    """Keeps everything in a log record, shown or not: its text, its arguments, and its error with its causes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        error = record.exc_info[1] if record.exc_info else None
        carried = everything_in(error) + "".join(traceback.format_exception(error)) if error else ""
        self.texts.append(f"{record.name} {record.getMessage()} {record.args!r} {vars(record)!r} {carried}")


@contextmanager
def logging_as_served(folder: Path, level: str = "debug") -> Iterator[Records]:
    """Set up logging as `deputy serve` does at this level, until the block ends; yield the records."""
    config = folder / "logging.yaml"
    config.write_text(
        f"key_ring: {{file: {folder}/k.yaml}}\nagents: {{a: {{}}}}\ndefault_agent: a\ninterfaces: {{http: {{}}}}\n"
        f"logging: {{level: {level}}}\n"
    )
    root = logging.getLogger()
    before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("app", "containers", "interfaces")}
    root.handlers[:] = []
    try:
        configured(config)
        records = Records()
        root.addHandler(records)
        yield records
    finally:
        root.handlers[:], root.level = before[0], before[1]
        for name, its_level in levels.items():
            logging.getLogger(name).setLevel(its_level)


def living() -> Iterator[tuple[str, str]]:
    """Yield the class and the repr of every live object of Deputy's classes, except the sandbox's."""
    gc.unfreeze()  # frozen objects are not listed
    names: dict[type, str | None] = {}
    for each in gc.get_objects():
        kind = type(each)
        if kind not in names:
            names[kind] = _name_of_ours(kind)
        if (name := names[kind]) is not None:
            with suppress(ReferenceError, AttributeError, ScopeError):  # emptied or dead objects show nothing
                yield name, repr(each)


def _name_of_ours(kind: type) -> str | None:
    module = kind.__module__
    if isinstance(module, str) and module.startswith(OUR_PACKAGES) and not module.startswith("app.sandbox."):
        return f"{module}.{kind.__qualname__}"
    return None


async def columns(database: Database) -> Iterator[tuple[str, str]]:
    """Yield every value in the database, with the name of its column."""
    found = []
    async with database.reading() as connection:
        for table in metadata.sorted_tables:
            for row in (await connection.execute(sa.select(table))).mappings():
                found += [(f"{table.name}.{name}", str(value)) for name, value in row.items()]
    return iter(found)


@dataclass
class Exchange:
    """The answer to one HTTP request, headers and body, and the person who sent it."""

    path: str
    authorization: str
    answer: str


@dataclass
class Tap:
    """Wraps an application and keeps its answers."""

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, and keep the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        pieces: list[bytes] = []

        async def tapped(message: Message) -> None:
            pieces.extend(b": ".join(header) for header in message.get("headers", ()))
            pieces.append(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, tapped)
        finally:
            answer = b"\n".join(pieces).decode(errors="replace")
            self.exchanges.append(Exchange(scope["path"], headers.get("authorization", ""), answer))
