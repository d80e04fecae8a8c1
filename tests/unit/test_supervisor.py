"""Background tasks that do not die unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from app.delivery.supervisor import Supervisor
from tests.fakes.office import until


async def test_a_task_that_dies_is_started_again_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """An error ends neither the task for good nor the others, and its text is not in the log."""
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
    """A library may turn the cancellation into an error of its own; the context ends all the same."""
    supervisor = Supervisor(pause_seconds=0)

    async def dies_at_its_end() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    async with asyncio.timeout(10), supervisor.keeping(engine=dies_at_its_end):
        await asyncio.sleep(0)

    assert supervisor.restarts["engine"] == 0
