"""Background tasks that are restarted when they die."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5  # before a task that died is started again


class Supervisor:
    """Keeps background tasks running; lives as long as the process.

    Attributes:
        restarts: How often each task was started again after it died of an error or ended without being cancelled.
    """

    def __init__(self, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self.restarts: Counter[str] = Counter()
        self._pause_seconds = pause_seconds

    @asynccontextmanager
    async def keeping(self, **tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Run these tasks, each under its name, until the context ends."""
        running = [asyncio.create_task(self._keep(name, task), name=name) for name, task in tasks.items()]
        try:
            yield
        finally:
            await cancel(running)

    async def _keep(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await task()
            except Exception as error:
                log.error("the task %s died and is restarted: %s", name, describe_crash(error))
            if _cancellations():
                return  # it was cancelled, and died of another error meanwhile
            self.restarts[name] += 1
            await asyncio.sleep(self._pause_seconds)


async def guarded(what: str, work: Awaitable[object]) -> bool:
    """Await `work`, logging any exception instead of raising it. Return whether it succeeded.

    Raises:
        asyncio.CancelledError: The task was cancelled, even if `work` raised something else then: libraries that use
            psycopg turn a cancellation into an error of their own.
    """
    crash = await _crash_of(work)
    if crash is not None:
        log.error("%s failed: %s", what, crash)
    return crash is None


class Rounds:
    """Runs the rounds of background loops. Lives as long as their owner, and remembers which rounds fail at the moment.

    A fault that lasts for many rounds, such as a locked database, is logged when it begins and when it has passed.
    """

    def __init__(self) -> None:
        self._failing: dict[str, str] = {}

    async def run(self, what: str, work: Awaitable[object]) -> bool:
        """Await `work` as `guarded` does. Return whether it succeeded.

        Args:
            what: The name of the round, the same each time.
            work: The round.
        """
        crash = await _crash_of(work)
        before = self._failing.pop(what, None)
        if crash is not None:
            self._failing[what] = crash
            if crash != before:
                log.error("%s failed, and will be tried again: %s", what, crash)
        elif before is not None:
            log.info("%s works again", what)
        return crash is None


async def _crash_of(work: Awaitable[object]) -> str | None:
    """Await `work` and return a description of its error, or None."""
    crash, cancelled_before = None, _cancellations()
    try:
        await work
    except Exception as error:
        crash = describe_crash(error)
    if _cancellations() > cancelled_before:
        raise asyncio.CancelledError
    return crash


def _cancellations() -> int:
    """Return how often the current task has been cancelled."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def describe_crash(error: BaseException) -> str:
    """Return an unexpected error's class and place, without its text, which may quote a mail or a token."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these tasks and wait until they have ended."""
    cancelled = [*tasks]
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
    for task in cancelled:
        forget_cancellation(task)


def forget_cancellation(task: asyncio.Task[Any]) -> None:
    """Have an ended task drop the CancelledError that it keeps, if it was cancelled.

    The error leads to the frames of the task, and if one of them leads back to the task, all that they hold would stay
    in memory until the garbage collector runs.
    """
    if task.cancelled():
        with suppress(asyncio.CancelledError):
            task.result()  # raises the error, and CPython keeps it no longer
