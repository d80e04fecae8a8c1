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
