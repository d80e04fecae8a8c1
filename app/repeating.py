"""Work that runs once more if it is requested again while it is running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Repeating(Generic[Key]):
    """Runs one task per key; a key that is requested meanwhile runs again afterwards. Lives as long as its owner.

    The work must not raise, because it is the outermost edge of its task.
    """

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The tasks that are running."""
        return set(self._tasks.values())

    def run(self, key: Key, work: Callable[[Key], Awaitable[None]]) -> None:
        """Start the work for a key, or run it once more when the current run ends."""
        if key in self._tasks:
            self._again.add(key)
        else:
            self._tasks[key] = task = asyncio.create_task(self._keep_at(key, work))
            task.add_done_callback(lambda _: self._forget(key, task))  # it may be cancelled before it begins

    async def _keep_at(self, key: Key, work: Callable[[Key], Awaitable[None]]) -> None:
        try:
            while True:
                self._again.discard(key)
                await work(key)
                if key not in self._again:
                    return
        finally:
            self._again.discard(key)
            self._tasks.pop(key, None)

    def _forget(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
