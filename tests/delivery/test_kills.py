"""Processes are killed at random moments; every message is answered once, in order, and nobody sees another's.

The evidence is independent of Deputy: a toolkit records every run, Slack every post, and a trigger in the database
every change of a row.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.deployment import SHORT, WHOLE, Layout, Load, open_deployment, run_with_kills
from tests.delivery.preloaded import Preloaded
from tests.delivery.verdict import Verdict

LAYOUTS = {
    "one process": Layout(),
    "1 worker": Layout("procrastinate", workers=1),
    "2 workers": Layout("procrastinate", servers=2, workers=2),
    "3 workers": Layout("procrastinate", workers=3, server_answers=False),
}


async def assert_survives(
    preloaded: Preloaded, folder: Path, database_url: str, layout: Layout, load: Load, seed: int
) -> None:
    """Run a load with its kills and assert that the verdict is empty."""
    async with open_deployment(preloaded, folder, database_url, layout, load, seed=seed) as deployment:
        await run_with_kills(deployment, load)
        settled = await deployment.settled()
        await deployment.stop()
        verdict = await deployment.judge()

    assert verdict == Verdict(), deployment.describe()
    assert settled, deployment.describe()


async def test_sqlite(preloaded: Preloaded, tmp_path: Path) -> None:
    """One process on a SQLite file survives its kills."""
    await assert_survives(preloaded, tmp_path, sqlite_in(tmp_path), Layout(), SHORT, seed=1)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_postgresql(preloaded: Preloaded, tmp_path: Path, postgres_url: str, layout: str) -> None:
    """On PostgreSQL, one process and each combination of servers and workers survive their kills."""
    await assert_survives(preloaded, tmp_path, postgres_url, LAYOUTS[layout], SHORT, seed=2)


@pytest.mark.soak
async def test_sqlite_for_long(preloaded: Preloaded, tmp_path: Path) -> None:
    """One process on a SQLite file survives ten times as many messages, with five times as many kills."""
    await assert_survives(preloaded, tmp_path, sqlite_in(tmp_path), Layout(), WHOLE, seed=3)


@pytest.mark.soak
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_postgresql_for_long(preloaded: Preloaded, tmp_path: Path, postgres_url: str, layout: str) -> None:
    """On PostgreSQL, each layout survives ten times as many messages, with five times as many kills."""
    await assert_survives(preloaded, tmp_path, postgres_url, LAYOUTS[layout], WHOLE, seed=4)


def sqlite_in(folder: Path) -> str:
    """Return the address of a database file."""
    return f"sqlite+aiosqlite:///{folder / 'deputy.db'}"
