"""P12: the cost of a process that has nothing to do: statements and CPU time per second.

Run it with ``python -m benchmarks.idle``. Each process is a new one that runs this module: a server on SQLite, and, if
PostgreSQL is installed, a server that accepts and answers messages through procrastinate, and a worker. After a
settling time it counts the statements that SQLAlchemy, asyncpg and psycopg send, except the beginnings of transactions.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from app.main import running, serving
from app.settings import Settings
from benchmarks.delivery import new_database
from benchmarks.figures import Figure, elsewhere, show, show_figures, within
from containers.build import build
from tests.fakes.postgres import find_binaries, running_postgres

SECONDS = 30.0  # the longest pause of a periodic task, so that each is counted
SETTLING_SECONDS = 8.0
SQLITE, POSTGRESQL = "an idle server, SQLite", "an idle server that answers, PostgreSQL, procrastinate"
WORKER = "an idle worker, PostgreSQL, procrastinate"


def _settings(folder: Path, url: str, engine: str) -> Settings:
    return Settings.model_validate(
        {
            "server": {"port": 0},
            "database": {"url": url},
            "key_ring": {"file": str(folder / "keys.yaml")},
            "google": {"mode": "google", "client_id": "1-bench.apps.googleusercontent.com", "client_secret": "none"},
            "agents": {"assistant": {"instructions": "You help one person.", "toolkits": ["gmail"]}},
            "default_agent": "assistant",
            "interfaces": {"http": {}},
            "delivery": {"engine": engine},
        }
    )


async def _idle(url: str, engine: str, seconds: float, *, serves: bool) -> tuple[float, float]:
    asked: Counter[str] = Counter()

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            asked["statements"] += 1

    execute = psycopg.AsyncCursor.execute

    async def counted(cursor: Any, *arguments: Any, **options: Any) -> Any:
        asked["statements"] += 1
        return await execute(cursor, *arguments, **options)

    with tempfile.TemporaryDirectory(prefix="deputy-idle-") as name:
        folder = Path(name)
        settings = _settings(folder, url or f"sqlite+aiosqlite:///{folder / 'deputy.db'}", engine)
        sa.event.listen(Engine, "before_cursor_execute", count)
        psycopg.AsyncCursor.execute = counted  # type: ignore[method-assign,assignment]
        container = build(settings)
        process: AbstractAsyncContextManager[object] = (serving if serves else running)(container, settings)
        async with process:
            await asyncio.sleep(SETTLING_SECONDS)
            before, cpu = asked.total(), time.process_time()
            await asyncio.sleep(seconds)
            return (asked.total() - before) / seconds, (time.process_time() - cpu) / seconds * 100


def idle(url: str, engine: str, seconds: float, *, serves: bool = True) -> tuple[float, float]:
    """Return the statements a second of a process without work, and its CPU time in percent of a core.

    Args:
        url: The database's address; empty for a new SQLite database.
        engine: The engine that wakes conversations.
        seconds: The duration of the measurement.
        serves: Whether it is a server rather than a worker.
    """
    return asyncio.run(_idle(url, engine, seconds, serves=serves))


def measure(seconds: float = SECONDS) -> dict[str, tuple[float, float]]:
    """Return the result of `idle` for each configuration, each in its own process."""
    found = {SQLITE: elsewhere(idle, "", "embedded", seconds)}
    binaries = find_binaries()
    with running_postgres(binaries) if binaries else nullcontext() as cluster:
        if cluster is not None:
            for name, serves in ((POSTGRESQL, True), (WORKER, False)):
                url = asyncio.run(new_database(cluster))
                found[name] = elsewhere(idle, url, "procrastinate", seconds, serves=serves)
    return found


def figures(costs: dict[str, tuple[float, float]]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    found = {}
    for name, (statements, cpu) in costs.items():
        found[f"P12 statements a second of {name}"] = within(statements, 0.0, "", at_most=1.0)
        found[f"P12 CPU of {name}"] = within(cpu, 0.0, "%", at_most=0.5)
    return found


def main(seconds: float = SECONDS) -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    costs = measure(seconds)
    columns = ("statements/s", "CPU, %")
    show("idle", {head: {name: cost[place] for name, cost in costs.items()} for place, head in enumerate(columns)})
    found = figures(costs)
    show_figures(found)
    return found


if __name__ == "__main__":
    main()
