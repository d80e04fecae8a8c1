"""A worker is frozen past its lease, other workers take over its message, and it is woken again."""

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
POSTING = Layout("procrastinate", workers=2, server_answers=False)  # the server only takes messages
LEASE_SECONDS = 5.0


async def freeze_and_wake(deployment: Deployment) -> None:
    """Freeze the worker that is answering a message, wait for another process to answer it, and wake the worker."""
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
    """Return the verdict on a run in which a worker was frozen, and a summary of what happened."""
    gate(folder / "record", "m0000").touch()
    async with open_deployment(
        preloaded, folder, url, LAYOUT, LOAD, seed=seed, fault=fault, lease_seconds=LEASE_SECONDS
    ) as deployment:
        await run_with_outage(deployment, LOAD, lambda: freeze_and_wake(deployment))
        await deployment.settled()
        await deployment.stop()
        return await deployment.judge(), deployment.describe()


async def test_it_finishes_nothing_that_was_taken_over(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """A woken worker does not change what others answered in the meantime, and its own answer reaches nobody."""
    verdict, described = await run_with_a_frozen_worker(preloaded, tmp_path, postgres_url, seed=9)

    assert verdict == Verdict(), described


async def test_one_that_ignores_its_attempt_is_noticed(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """Without the fence, the verdict notices that a woken worker repeats a finished message or undoes it by a crash."""
    verdict, described = await run_with_a_frozen_worker(preloaded, tmp_path, postgres_url, 10, fault="no_fence")

    assert "m0000" in verdict.doubled | verdict.lost, described


async def wake_in_the_post(deployment: Deployment, copies_at_last: int) -> None:
    """Wake a process that stopped itself as it posted, once another one has posted the same answer."""
    stopped = deployment.record.path.with_name("stood_still")
    await deployment.until(lambda: stopped.exists() and stopped.read_text() != "")
    (frozen,) = (deputy for deputy in deployment.deputies if deputy.pid == int(stopped.read_text()))
    frozen.freeze()  # it is stopped already; this records when
    async with asyncio.timeout(SETTLE_SECONDS):
        while (
            deployment.answers("m0000") == 0 or await deployment.ledger.undone() != 0
        ):  # another process has finished everything
            await asyncio.sleep(0.01)
    frozen.wake()
    await deployment.until(lambda: deployment.answers("m0000") == 2)
    await deployment.until(lambda: deployment.answers("m0000") == copies_at_last)
    await asyncio.sleep(0.4 * LEASE_SECONDS)  # time to look again, and to delete the copy that must stay
    assert deployment.answers("m0000") == copies_at_last


async def run_with_a_late_post(
    preloaded: Preloaded, folder: Path, url: str, seed: int, fault: str, copies: int
) -> Verdict:
    """Return the verdict on a run in which a process was stopped as it posted, and this many copies remained."""
    async with open_deployment(
        preloaded, folder, url, POSTING, LOAD, seed=seed, fault=fault, lease_seconds=LEASE_SECONDS
    ) as deployment:
        await run_with_outage(deployment, LOAD, partial(wake_in_the_post, deployment, copies))
        await deployment.settled()
        await deployment.stop()
        return await deployment.judge()


async def test_what_it_posts_too_late_is_deleted(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """Of two copies of an answer, one posted late by a worker that was frozen as it posted, only the first remains."""
    assert await run_with_a_late_post(preloaded, tmp_path, postgres_url, 11, "stand_still", 1) == Verdict()


async def test_a_late_post_that_stays_is_noticed(preloaded: Preloaded, tmp_path: Path, postgres_url: str) -> None:
    """The verdict notices an answer that Slack shows twice because nobody looked for copies."""
    verdict = await run_with_a_late_post(preloaded, tmp_path, postgres_url, 12, "stand_still_and_keep_both", 2)

    assert verdict.copies["m0000"] == 1  # other answers may be doubled too, if that process was about to post one
