"""Processes that die between two steps to the outside, and leave everything as it is then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from app.delivery.store.notes import ChannelNotes
from app.messages import StoredMessage
from app.supervisor import cancel


class Life:
    """Gives a process a number of steps; before the next one it stops forever.

    From outside this looks like a kill: no handler and no `finally` runs.
    """

    def __init__(self, steps: int) -> None:
        self._left = asyncio.Semaphore(steps)
        self._stands = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def step(self) -> None:
        """Take a step, or stop forever if none is left."""
        if self._left.locked():
            self._stands.set()
        await self._left.acquire()

    async def one_more(self) -> None:
        """Allow exactly one more step."""
        self._stands.clear()
        self._left.release()
        await self._ended()

    @asynccontextmanager
    async def lived(self, life: Coroutine[Any, Any, None]) -> AsyncIterator[bool]:
        """Begin a life; once it stops or has ended, yield whether it has ended."""
        before = asyncio.all_tasks()
        self._tasks = {asyncio.create_task(life)}
        try:
            await self._ended()
            yield not self._stands.is_set()
        finally:
            await cancel(asyncio.all_tasks() - before)

    async def _ended(self) -> None:
        standing = asyncio.create_task(self._stands.wait())
        await asyncio.wait([*self._tasks, standing], return_when=asyncio.FIRST_COMPLETED)
        standing.cancel()
        for task in self._tasks:
            if task.done():
                task.result()


class MortalNotes(ChannelNotes):
    """The notes of one process; each access is a step of its life."""

    def __init__(self, notes: ChannelNotes, life: Life) -> None:
        self._notes, self._life = notes, life

    async def is_open(self, message: StoredMessage) -> bool:
        """Take a step, then do as `ChannelNotes` does."""
        await self._life.step()
        return await self._notes.is_open(message)

    async def keep(self, message: StoredMessage, notes: Mapping[str, Any] | None, *, while_open: bool) -> bool:
        """Take a step, then do as `ChannelNotes` does."""
        await self._life.step()
        return await self._notes.keep(message, notes, while_open=while_open)
