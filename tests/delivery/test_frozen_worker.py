"""A worker stands still past its lease, others take over what it had in work, and it is woken again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tests.delivery.badge import gate
from tests.delivery.deployment import SETTLE_SECONDS, Deployment, Layout, Load, open_deployment, run_with_outage
from tests.delivery.preloaded import Preloaded
from tests.delivery.verdict import Verdict

LOAD = Load(messages=60, conversations=12, repeated=6, kills=0)
LAYOUT = Layout("procrastinate", workers=2)
POSTING = Layout("procrastinate", workers=2, server_answers=False)  # the server goes on taking messages
LEASE_SECONDS = 5.0


async def freeze_and_wake(deployment: Deployment) -> None:
    """Freeze a worker that has a message in work, which another process then answers, and let it go on with it."""
    held = gate(deployment.record.path, "m0000")
    run = await deployment.begun("m0000")
    (frozen,) = (deputy for deputy in deployment.deputies if deputy.pid == run.pid)
    frozen.freeze()
    held.unlink()
    await deployment.answered("m0000")
    frozen.wake()


async def run_with_a_frozen_worker(
    preloaded: Preloaded, folder: Path, url: str, seed: int, fault: str | None = None
) -> tuple[Verdict, str]:
    """The verdict on a run in which a worker was frozen, and what happened."""
    gate(folder / "record", "m0000").touch()
    async with open_deployment(
        preloaded, folder, url, LAYOUT, LOAD, seed=seed, fault=fault, lease_seconds=LEASE_SECONDS
    ) as deployment:
        await run_with_outage(deployment, LOAD, lambda: freeze_and_wake(deployment))
        await deployment.settled()
        await deployment.stop()
        return await deployment.judge(), deployment.describe()


async def test_it_finishes_nothing_that_was_taken_over(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """What the others answered stays as it is; the woken worker's own answer reaches nobody."""
    verdict, described = await run_with_a_frozen_worker(preloaded, tmp_path, postgres_url, seed=9)

    assert verdict == Verdict(), described


async def test_one_that_ignores_its_attempt_is_noticed(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """The same with the fence taken down: what was answered is done a second time, or undone by a crash."""
    verdict, described = await run_with_a_frozen_worker(preloaded, tmp_path, postgres_url, 10, fault="no_fence")

    assert "m0000" in verdict.doubled | verdict.lost, described


async def wake_in_the_post(deployment: Deployment, copies_at_last: int) -> None:
    """Wake a process that stopped itself as it posted, once another one has posted the same answer."""
    stopped = deployment.record.path.with_name("stood_still")
    await deployment.until(lambda: stopped.exists() and stopped.read_text() != "")
    (frozen,) = (deputy for deputy in deployment.deputies if deputy.pid == int(stopped.read_text()))
    frozen.freeze()  # it is already, and that is noted
    async with asyncio.timeout(SETTLE_SECONDS):
        while (
            deployment.answers("m0000") == 0 or await deployment.ledger.undone() != 0
        ):  # the other one has left it behind
            await asyncio.sleep(0.01)
    frozen.wake()
    await deployment.until(lambda: deployment.answers("m0000") == 2)
    await deployment.until(lambda: deployment.answers("m0000") == copies_at_last)
    await asyncio.sleep(0.4 * LEASE_SECONDS)  # time to look again, and to delete what must stay
    assert deployment.answers("m0000") == copies_at_last


async def run_with_a_late_post(
    preloaded: Preloaded, folder: Path, url: str, seed: int, fault: str, copies: int
) -> Verdict:
    """The verdict on a run in which a process stood still as it posted, and what is left was so many copies."""
    async with open_deployment(
        preloaded, folder, url, POSTING, LOAD, seed=seed, fault=fault, lease_seconds=LEASE_SECONDS
    ) as deployment:
        await run_with_outage(deployment, LOAD, partial(wake_in_the_post, deployment, copies))
        await deployment.settled()
        await deployment.stop()
        return await deployment.judge()


async def test_what_it_posts_too_late_is_deleted(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """Frozen in the very step that posts, it posts what another one has posted: of the two the first stays."""
    assert await run_with_a_late_post(preloaded, tmp_path, postgres_url, 11, "stand_still", 1) == Verdict()


async def test_a_late_post_that_stays_is_noticed(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """The same where nobody looks for copies: Slack shows the answer twice."""
    verdict = await run_with_a_late_post(preloaded, tmp_path, postgres_url, 12, "stand_still_and_keep_both", 2)

    assert verdict.copies["m0000"] == 1  # and of another answer, if that process was about to post one too
