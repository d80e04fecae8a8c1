"""Background tasks that cannot die unnoticed."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.supervisor import Rounds, Supervisor, cancel, guarded
from tests.fakes.core_server import until
from tests.fakes.fading import Belonging, fading, without_the_collector


async def test_a_task_that_dies_is_started_again_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A task that fails is restarted without affecting the others, and the error's text is not logged."""
    supervisor = Supervisor(pause_seconds=0)
    begun = []

    async def dies() -> None:
        begun.append("dies")
        raise RuntimeError("text-of-a-mail")

    async def lives() -> None:
        begun.append("lives")
        await asyncio.Event().wait()

    async with supervisor.keeping(dies=dies, lives=lives):
        await until(lambda: supervisor.restarts["dies"] >= 3)

    assert begun.count("lives") == 1
    assert "the task dies died" in caplog.text
    assert "text-of-a-mail" not in caplog.text
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_task_that_dies_of_something_else_as_it_is_told_to_end_is_not_started_again() -> None:
    """A task that turns its cancellation into another error, as a library may do, is not restarted."""
    supervisor = Supervisor(pause_seconds=0)

    async def dies_at_its_end() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    async with asyncio.timeout(10), supervisor.keeping(engine=dies_at_its_end):
        await asyncio.sleep(0)

    assert supervisor.restarts["engine"] == 0


@pytest.mark.parametrize("error", [ConnectionError, None])
async def test_guarded_work_that_swallows_its_cancellation_is_cancelled(error: type[Exception] | None) -> None:
    """A loop ends even if its guarded work swallows the cancellation, and a clean-up after it runs to its end."""
    rounds: list[object] = []

    async def swallow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None

    async def loop() -> None:
        for number in range(2):
            rounds.append(number)
            await guarded("a round", swallow())

    async def clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            rounds.append(await guarded("cleaning up", asyncio.sleep(0)))

    tasks = [asyncio.create_task(loop()), asyncio.create_task(clean_up())]
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel(tasks), 10)

    assert rounds == [0, True]
    assert all(task.cancelled() for task in tasks)


async def test_a_fault_that_lasts_is_logged_at_its_beginning_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """However many rounds it lasts, a fault is logged when it begins and when it ends, for each round separately."""
    caplog.set_level("INFO")
    rounds, faults = Rounds(), dict.fromkeys(("one", "other"), 0)

    async def round_of(name: str) -> None:
        if faults[name] == 1:
            raise ConnectionError("text-of-a-mail")
        if faults[name] == 2:
            raise TimeoutError

    async def many(**now: int) -> None:
        faults.update(now)
        for _ in range(3):
            for name, fault in faults.items():
                assert await rounds.run(name, round_of(name)) is (not fault)

    await many()
    await many(one=1)
    await many(other=1)
    await many(one=2)
    await many(one=0)
    lines = [record.getMessage().partition(" at ")[0] for record in caplog.records]

    assert lines == [
        "one failed, and will be tried again: ConnectionError",
        "other failed, and will be tried again: ConnectionError",
        "one failed, and will be tried again: TimeoutError",
        "one works again",
    ]


async def test_a_round_that_is_cancelled_is_cancelled() -> None:
    """Cancelling a loop of rounds ends it."""
    task = asyncio.create_task(Rounds().run("a round", asyncio.Event().wait()))
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel([task]), 10)

    assert task.cancelled()


async def _wait_for_ever(held: weakref.WeakSet[Belonging]) -> None:
    """Wait in a frame that leads to its own task."""
    task, belonging = asyncio.current_task(), Belonging()
    held.add(belonging)
    await asyncio.Event().wait()
    assert task


async def _in_a_guard(held: weakref.WeakSet[Belonging]) -> None:
    belonging = Belonging()
    held.add(belonging)
    await guarded("waiting", asyncio.Event().wait())


@pytest.mark.parametrize("work", [_wait_for_ever, _in_a_guard])
async def test_what_a_cancelled_task_held_is_freed_at_once(
    work: Callable[[weakref.WeakSet[Belonging]], Coroutine[Any, Any, None]],
) -> None:
    """A task that was cancelled keeps nothing of its frames, though its owner keeps it and the collector never runs."""
    held = weakref.WeakSet[Belonging]()
    with without_the_collector():
        tasks = [asyncio.create_task(work(held)) for _ in range(2)]
        await until(lambda: len(held) == 2)
        await cancel(tasks)
        await fading(map(weakref.ref, held))

    assert all(task.cancelled() for task in tasks)
    assert not [*held]


async def test_a_cancelled_guard_leads_to_no_cycle() -> None:
    """A guarded task that somebody else cancels is freed with all that it held, without the collector."""
    held = weakref.WeakSet[Belonging]()
    with without_the_collector():
        task = asyncio.create_task(_in_a_guard(held))
        await until(lambda: len(held) == 1)
        task.cancel()
        await asyncio.wait([task])
        del task
        await fading(map(weakref.ref, held))

    assert not [*held]
