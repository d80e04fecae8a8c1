"""The pins: the first definition of each tool of each server, and the present one if it differs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.database.database import Database
from app.database.tables import mcp_pins
from app.mcp.definition import Definition

MAX_PINS = 500  # of one server; one that lists others each time would fill the database


@dataclass(frozen=True, slots=True)
class Pin:
    """One tool of one server.

    Attributes:
        accepted: The definition that models are shown: the first one, until an administrator accepts another.
        changed_to: The server's present definition once it has said anything else; the tool is off until somebody
            accepts it.
        seen_at: When the tool was first seen, POSIX seconds.
    """

    server: str
    tool: str
    accepted: Definition = field(repr=False)
    changed_to: Definition | None = field(repr=False)
    seen_at: float


class Pins:
    """Keeps the pins in the database, which all processes share; lives as long as the process and is nobody's."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def of(self, server: str) -> dict[str, Pin]:
        """Return a server's pins by tool."""
        return {pin.tool: pin for pin in await self._read(mcp_pins.c.server == server)}

    async def all(self) -> list[Pin]:
        """Return the pins of all servers, sorted by server and tool."""
        return await self._read(sa.true())

    async def take(self, server: str, listed: Iterable[Definition]) -> dict[str, Pin]:
        """Pin each tool that is new, note each one that has changed, and return the server's pins by tool.

        A new tool is not pinned where the server has `MAX_PINS` already.

        Args:
            server: The server's name.
            listed: The present definitions.
        """
        pins = await self.of(server)
        listed = [*listed]
        new = [each for each in listed if each.tool not in pins][: max(0, MAX_PINS - len(pins))]
        changed = [
            each
            for each in listed
            if (pin := pins.get(each.tool)) is not None and each.digest != (pin.changed_to or pin.accepted).digest
        ]
        if not new and not changed:
            return pins
        async with self._database.writing() as connection:
            insert = (postgresql if self._database.dialect.name == "postgresql" else sqlite).insert(mcp_pins)
            for each in new:
                row = {"server": server, "tool": each.tool, "accepted": each.dump(), "seen_at": self._now()}
                await connection.execute(insert.values(row).on_conflict_do_nothing())
            for each in changed:
                update = mcp_pins.update().where(mcp_pins.c.server == server, mcp_pins.c.tool == each.tool)
                await connection.execute(update.values(changed_to=each.dump()))
        return await self.of(server)

    async def accept(self, server: str, tools: Sequence[str] = ()) -> list[str]:
        """Accept the present definitions of some tools, or of all that changed; return the names of those accepted."""
        waiting = [
            pin for pin in (await self.of(server)).values() if pin.changed_to and (not tools or pin.tool in tools)
        ]
        accepted = []
        async with self._database.writing() as connection:
            for pin in waiting:
                assert pin.changed_to is not None
                shown = pin.changed_to.dump()  # a still later definition is not accepted unseen
                update = mcp_pins.update().where(
                    mcp_pins.c.server == server, mcp_pins.c.tool == pin.tool, mcp_pins.c.changed_to == shown
                )
                done = await connection.execute(update.values(accepted=shown, changed_to=None))
                accepted += [pin.tool] if done.rowcount else []
        return accepted

    async def _read(self, where: sa.ColumnElement[bool]) -> list[Pin]:
        query = sa.select(mcp_pins).where(where).order_by(mcp_pins.c.server, mcp_pins.c.tool)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Pin(
                row.server,
                row.tool,
                Definition.load(row.accepted),
                Definition.load(row.changed_to) if row.changed_to is not None else None,
                row.seen_at,
            )
            for row in rows
        ]
