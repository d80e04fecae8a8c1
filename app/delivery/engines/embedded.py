"""The embedded engine: asyncio tasks of this one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.delivery.engines.engine import WorkOff
from app.messages import ConversationKey
from app.supervisor import Supervisor, cancel, guarded


class EmbeddedEngine:
    """Hands conversations from whoever makes work to the worker; lives as long as the process.

    It holds keys, never messages, and a conversation once however often it is woken. A hint is lost with the process:
    the worker looks for undone rows at its start and every few seconds.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._waiting: dict[ConversationKey, None] = {}  # in the order of their first wake-up
        self._not_empty = asyncio.Event()
        self._in_hands: dict[ConversationKey, asyncio.Task[None]] = {}

    async def wake(self, conversation: ConversationKey) -> None:
        """Have the worker look at a conversation, soon and at least once."""
        self._waiting[conversation] = None
        if conversation not in self._in_hands:  # else whoever has it in hands wakes it again
            self._not_empty.set()

    async def next(self) -> ConversationKey:
        """The conversation that has waited longest and is in nobody's hands; waits until there is one."""
        while True:
            for conversation in self._waiting:
                if conversation not in self._in_hands:
                    del self._waiting[conversation]
                    return conversation
            self._not_empty.clear()
            await self._not_empty.wait()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hints can be given at any time: they are kept in memory."""
        yield

    @asynccontextmanager
    async def running(self, work_off: WorkOff, grace_seconds: float) -> AsyncIterator[None]:
        """Have `work_off` called for what is woken, each conversation in a task of its own."""

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
            self._in_hands.clear()  # a task that was cancelled before it began has not let go

    async def _hold(self, conversation: ConversationKey, work_off: WorkOff) -> None:
        """The outermost edge of a conversation's task; whatever ends it early, the scan comes back."""
        try:
            await guarded("working a conversation off", work_off(conversation))
        finally:
            del self._in_hands[conversation]
            if conversation in self._waiting:  # woken while it was in hands, perhaps after the last look
                self._not_empty.set()
