"""How the cost of a message grows with people, tools, history, ended messages and open conversations.

Run it with ``python -m benchmarks.growth``; ``--full`` goes to 10 000 people and a million ended messages. For each
point, a new SQLite database is filled; then messages are accepted and answered by a stub model that makes one tool
call, one after the other in this process. The figure is the median CPU time of a message; the curves are written to
benchmarks/growth.svg.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.tables import messages, turns, users
from app.main import running
from app.messages import ConversationKey, InboundMessage, MessageState
from app.principal import Principal
from app.settings import Settings
from benchmarks.curves import draw
from benchmarks.figures import Figure, show, show_figures, within
from benchmarks.toolkits import FURTHER_PATHS, IMPORT_PATHS, ONE_TOOL_PATH
from containers.application import Application
from containers.build import build
from containers.testing import use_model

TOOLKIT_PATHS = {**IMPORT_PATHS, **FURTHER_PATHS}
PICTURE = Path(__file__).with_name("growth.svg")
WARM, TIMES = 5, 30  # messages that are not counted, and those that are
_ADA = Principal("http", "bench", "ada")
_NUMBERS = itertools.count()
_AT_ONCE = 1000  # rows in one statement


class Load(NamedTuple):
    """The contents of the database when a message comes in, and the number of tools."""

    people: int = 1
    tools: int = 40
    turns: int = 1
    ended: int = 1000
    open: int = 1


SHORT = {
    "people": (1, 100, 1000),
    "tools": (1, 40, 60),
    "turns": (1, 20, 200),
    "ended": (1000, 10_000, 50_000),
    "open": (1, 100, 1000),
}
FULL = {
    "people": (1, 10, 100, 1000, 10_000),
    "tools": (1, 10, 20, 40, 60),
    "turns": (1, 5, 20, 50, 100, 200),
    "ended": (1000, 10_000, 100_000, 1_000_000),
    "open": (1, 10, 100, 1000),
}
TITLES = {
    "people": "people",
    "tools": "tools",
    "turns": "turns of history",
    "ended": "ended messages",
    "open": "open conversations",
}
AT_MOST = {"people": 1.2, "tools": 2.5, "turns": 4.0, "ended": 1.2, "open": 1.5}  # times the first point's cost


def settings_of(folder: Path, load: Load) -> Settings:
    """Return the settings of a server with this number of tools, on SQLite."""
    paths = ONE_TOOL_PATH if load.tools == 1 else dict([*TOOLKIT_PATHS.items()][: load.tools // 10])
    agent = {"instructions": "You help one person.", "toolkits": [*paths], "history_turns": 200}
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite+aiosqlite:///{folder / 'deputy.db'}"},
            "key_ring": {"file": str(folder / "keys.yaml")},
            "google": {"mode": "google", "client_id": "1-bench.apps.googleusercontent.com", "client_secret": "none"},
            "toolkits": paths,
            "agents": {"assistant": agent},
            "default_agent": "assistant",
            "interfaces": {"http": {}},
        }
    )


def _message(number: int, conversation: str, state: MessageState, now: float) -> dict[str, Any]:
    person = {"platform": "http", "tenant": "bench", "user_id": f"u{number % 1000}"}
    row: dict[str, Any] = {"id": f"{number:032x}", **person, "event_id": f"old-{number}", "conversation": conversation}
    row |= {"sequence": number + 1, "body": "what do we have?", "address": {}, "state": state, "attempt": 1}
    return row | {"interruptions": 0, "private": False, "created_at": now, "changed_at": now, "replied_at": now}


async def _fill(container: Application, load: Load) -> None:
    now, database = time.time(), container.database()
    said: list[ModelMessage] = [
        ModelRequest([UserPromptPart("and the harbour?")]),
        ModelResponse([TextPart("Three ships. " * 10)]),
    ]
    turn = {"platform": "http", "tenant": "bench", "user_id": "ada", "conversation": "main", "private": False}
    turn |= {"messages": ModelMessagesTypeAdapter.dump_json(said).decode(), "created_at": now}
    person = {"platform": "http", "tenant": "bench", "first_seen_at": now, "last_seen_at": now}
    ended = (_message(n, f"c{n % 5000}", MessageState.DONE, now) for n in range(load.ended))
    waiting = (_message(load.ended + n, f"open{n}", MessageState.NEW, now) for n in range(load.open - 1))
    async with database.writing() as connection:
        for table, rows in (
            (users, ({**person, "user_id": f"u{n}"} for n in range(load.people))),
            (turns, ({**turn, "id": f"{n:032x}", "sequence": -n} for n in range(load.turns))),
            (messages, itertools.chain(ended, waiting)),
        ):
            await _insert(connection, table, rows)


async def _insert(connection: AsyncConnection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    iterator = iter(rows)
    while some := [*itertools.islice(iterator, _AT_ONCE)]:
        await connection.execute(table.insert(), some)


async def answer_one(container: Application, person: Principal = _ADA, conversation: str = "main") -> None:
    """Accept and answer one message of a person."""
    message = InboundMessage(person, f"new-{next(_NUMBERS)}", conversation, "what do we have on the harbour?")
    stored = await container.intake().accept(message)
    begun = await container.inbox().begin_next(ConversationKey.of(stored))
    assert begun is not None
    await container.answering().answer(begun)
    ended = await container.inbox().get(person, stored.message_id)
    assert ended.state is MessageState.DONE, ended.state


def first_tool(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Stand in for the model: search once with the first toolkit, and answer with the result."""
    for part in messages[-1].parts:
        if isinstance(part, ToolReturnPart):
            return ModelResponse(parts=[TextPart(str(part.content))])
    return ModelResponse(parts=[ToolCallPart("mails_search", {"query": "harbour"})])


async def cost(load: Load) -> float:
    """Return the median milliseconds of CPU time of one message."""
    with tempfile.TemporaryDirectory(prefix="deputy-growth-") as name:
        settings = settings_of(Path(name), load)
        container = build(settings)
        use_model(container, FunctionModel(first_tool))
        async with running(container, settings, answers=False):
            await _fill(container, load)
            took = []
            for _ in range(WARM + TIMES):
                begin = time.process_time_ns()
                await answer_one(container)
                took.append((time.process_time_ns() - begin) / 1e6)
        return statistics.median(took[WARM:])


def measure(sizes: Mapping[str, Sequence[int]]) -> dict[str, dict[int, float]]:
    """Return each curve: the milliseconds of a message by size."""
    return {
        name: {size: asyncio.run(cost(Load()._replace(**{name: size}))) for size in steps}
        for name, steps in sizes.items()
    }


def figures(curves: Mapping[str, Mapping[int, float]]) -> dict[str, Figure]:
    """Return how many times as much a message costs at each curve's end as at its beginning."""
    found = {}
    for name, curve in curves.items():
        first, *_, last = curve.values()
        title = f"growth: a message with {max(curve)} {TITLES[name]}, of the one with {min(curve)}"
        found[title] = within(last / first, 1.0, "x", at_most=AT_MOST[name])
    return found


def main(*, full: bool = False) -> dict[str, Figure]:
    """Measure, print the tables, draw the picture, and return the figures."""
    curves = measure(FULL if full else SHORT)
    for name, curve in curves.items():
        show(TITLES[name], {"CPU ms": {str(size): cost for size, cost in curve.items()}})
    PICTURE.write_text(draw({TITLES[name]: curve for name, curve in curves.items()}, "ms of CPU a message"))
    found = figures(curves)
    show_figures(found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="up to 10 000 people and a million ended messages")
    main(full=parser.parse_args().full)
