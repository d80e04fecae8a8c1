"""The suite fails where it should: mistakes that are planted in real processes are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.preloaded import Preloaded
from tests.delivery.stage import Layout, Load, run_with_kills, stage
from tests.delivery.verdict import Verdict

LOAD = Load(messages=40, conversations=4, repeated=4, kills=0)


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [("double_reply", "copies"), ("lose_rows", "lost"), ("newest_first", "disordered")],
)
async def test_a_planted_fault_is_noticed(preloaded: Preloaded, tmp_path: Path, fault: str, noticed: str) -> None:
    """What it leads to is in the verdict."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"
    async with stage(preloaded, tmp_path, url, Layout(), LOAD, seed=8, fault=fault) as stage_:
        await run_with_kills(stage_, LOAD)
        await stage_.settled(20)
        await stage_.stop()
        verdict = await stage_.judge()

    assert getattr(verdict, noticed)
    assert verdict != Verdict()
