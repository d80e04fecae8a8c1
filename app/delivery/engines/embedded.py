"""The embedded engine: asyncio tasks of this one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.delivery.engines.engine import WorkOff
from app.messages import ConversationKey
from app.supervisor import Supervisor, cancel, guarded


class EmbeddedEngine:
    """Passes woken conversations to the worker; lives as long as the process.

    It holds keys, never messages, and each conversation only once. Hints are lost when the process ends, so the worker
    looks for undone rows when it starts and every few seconds.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._waiting: dict[ConversationKey, None] = {}  # in the order of their first wake-up
        self._not_empty = asyncio.Event()
        self._in_hands: dict[ConversationKey, asyncio.Task[None]] = {}

    async def wake(self, conversation: ConversationKey) -> None:
        """Have the worker look at a conversation, soon and at least once."""
        self._waiting[conversation] = None
        if conversation not in self._in_hands:  # otherwise its task wakes it again at its end
            self._not_empty.set()

    async def next(self) -> ConversationKey:
        """Wait for a conversation that no task has, and return the one that was woken first."""
        while True:
            for conversation in self._waiting:
                if conversation not in self._in_hands:
                    del self._waiting[conversation]
                    return conversation
            self._not_empty.clear()
            await self._not_empty.wait()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Do nothing: hints are kept in memory and can be given at any time."""
        yield

    @asynccontextmanager
    async def running(self, work_off: WorkOff, grace_seconds: float) -> AsyncIterator[None]:
        """Call `work_off` for woken conversations until the context ends, each in its own task."""

        async def take() -> None:
            while True:
                conversation = await self.next()
                self._in_hands[conversation] = asyncio.create_task(self._hold(conversation, work_off))

        try:
            async with self._supervisor.keeping(engine=take):
                yield
        finally:
            if self._in_hands:
                await asyncio.wait(self._in_hands.values(), timeout=grace_seconds)
            await cancel(self._in_hands.values())
            self._in_hands.clear()  # a task that was cancelled before it began did not remove itself

    async def _hold(self, conversation: ConversationKey, work_off: WorkOff) -> None:
        """Run a conversation's task; no exception leaves it, and if it ends early, the scan comes back."""
        try:
            await guarded("answering a conversation", work_off(conversation))
        finally:
            del self._in_hands[conversation]
            if conversation in self._waiting:  # woken meanwhile, perhaps after the task's last look
                self._not_empty.set()
