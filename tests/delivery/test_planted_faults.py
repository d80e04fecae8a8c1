"""The suite notices mistakes that are planted in real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.deployment import Layout, Load, open_deployment, run_with_kills
from tests.delivery.preloaded import Preloaded
from tests.delivery.verdict import Verdict

LOAD = Load(messages=40, conversations=4, repeated=4, kills=0)


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [("double_reply", "copies"), ("lose_rows", "lost"), ("newest_first", "disordered")],
)
async def test_a_planted_fault_is_noticed(preloaded: Preloaded, tmp_path: Path, fault: str, noticed: str) -> None:
    """A planted fault appears in the verdict."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"
    async with open_deployment(preloaded, tmp_path, url, Layout(), LOAD, seed=8, fault=fault) as deployment:
        await run_with_kills(deployment, LOAD)
        await deployment.settled(20)
        await deployment.stop()
        verdict = await deployment.judge()

    assert getattr(verdict, noticed)
    assert verdict != Verdict()
