"""The cost of an idle process: the statements of its periodic tasks."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.main import running
from app.settings import Settings
from containers.build import build
from tests.fakes.databases import Databases

STATEMENTS_A_SECOND = 1.0
ROUNDS = 13  # of each periodic task: twice everything that is done only every sixth round


async def test_an_idle_process_asks_its_database_at_most_once_a_second(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the default settings the periodic tasks together execute at most one statement a second."""
    asked, rounds = Counter[str](), Counter[str]()
    slept: defaultdict[str, float] = defaultdict(float)
    waited = asyncio.Condition()
    sleep = asyncio.sleep

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):  # SQLite's transactions, which are not queries
            asked[_task()] += 1

    async def briefly(seconds: float, result: Any = None) -> Any:
        if _task().startswith("Task-"):  # not one of the supervisor's tasks, which have names
            return await sleep(seconds, result)
        slept[_task()] += seconds
        rounds[_task()] += 1
        async with waited:
            waited.notify_all()
        await sleep(0.001 if rounds[_task()] < ROUNDS else 3600)  # the other tasks continue without it
        return result

    settings = Settings.model_validate(
        {
            "database": {"url": await databases.migrated("deputy")},
            "key_ring": {"file": str(tmp_path / "keys.yaml")},
            "google": {"mode": "google", "client_id": "1-test.apps.googleusercontent.com", "client_secret": "none"},
            "agents": {"assistant": {"toolkits": ["gmail"]}},
            "default_agent": "assistant",
            "interfaces": {"http": {}},
        }
    )
    container = build(settings)
    monkeypatch.setattr(asyncio, "sleep", briefly)  # before the tasks begin, or each would first really sleep
    async with running(container, settings):
        engine = container.database()._engine.sync_engine
        sa.event.listen(engine, "before_cursor_execute", count)
        asked.clear()
        rounds.clear()
        slept.clear()
        async with asyncio.timeout(60), waited:
            await waited.wait_for(lambda: len(rounds) >= 5 and min(rounds.values()) >= ROUNDS)
        monkeypatch.undo()
        costs = {name: asked[name] / seconds for name, seconds in slept.items()}

    assert {"replica", "finishing_ends", "stopping_leavers"} <= costs.keys()
    assert all(asked[name] for name in ("replica", "finishing_ends", "stopping_leavers"))
    assert sum(costs.values()) <= STATEMENTS_A_SECOND, costs


def _task() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
