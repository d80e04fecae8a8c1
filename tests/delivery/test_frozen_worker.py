"""A worker stands still past its lease, others take over what it had in work, and it is woken again."""

from __future__ import annotations

from pathlib import Path

from tests.delivery.badge import gate
from tests.delivery.preloaded import Preloaded
from tests.delivery.stage import Layout, Load, Stage, run_with_outage, stage
from tests.delivery.verdict import Verdict

LOAD = Load(messages=60, conversations=12, repeated=6, kills=0)
LAYOUT = Layout("procrastinate", workers=2)
LEASE_SECONDS = 5.0


async def freeze_and_wake(stage_: Stage) -> None:
    """Freeze a worker that has a message in work, which another process then answers, and let it go on with it."""
    held = gate(stage_.record.path, "m0000")
    run = await stage_.begun("m0000")
    (frozen,) = (deputy for deputy in stage_.deputies if deputy.pid == run.pid)
    frozen.freeze()
    held.unlink()
    await stage_.answered("m0000")
    frozen.wake()


async def run_with_a_frozen_worker(
    preloaded: Preloaded, folder: Path, url: str, seed: int, fault: str | None = None
) -> tuple[Verdict, str]:
    """The verdict on a run in which a worker was frozen, and what happened."""
    gate(folder / "record", "m0000").touch()
    async with stage(
        preloaded, folder, url, LAYOUT, LOAD, seed=seed, fault=fault, lease_seconds=LEASE_SECONDS
    ) as stage_:
        await run_with_outage(stage_, LOAD, lambda: freeze_and_wake(stage_))
        await stage_.settled()
        await stage_.stop()
        return await stage_.judge(), stage_.describe()


async def test_it_finishes_nothing_that_was_taken_over(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """What the others answered stays as it is; the woken worker's own answer reaches nobody."""
    verdict, described = await run_with_a_frozen_worker(preloaded, tmp_path, postgres_url, seed=9)

    assert verdict == Verdict(), described


async def test_one_that_ignores_its_attempt_is_noticed(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """The same with the fence taken down: what was answered is done a second time, or undone by a crash."""
    verdict, described = await run_with_a_frozen_worker(preloaded, tmp_path, postgres_url, 10, fault="no_fence")

    assert "m0000" in verdict.doubled | verdict.lost, described
