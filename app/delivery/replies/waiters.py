"""Waiting for a message to change, without asking the database for each wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from app.delivery.store.inbox import Inbox
from app.messages import StoredMessage, Version
from app.supervisor import Rounds, Supervisor

_LOOK_SECONDS = 1.0  # between two looks for changes by other processes


class Waiter:
    """One wait for one message. Lives as long as the request that waits."""

    def __init__(self) -> None:
        self.seen: Version | None = None
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """End the wait that is going on, or else the next one."""
        self._woken.set()

    async def changed(self, seen: StoredMessage, seconds: float) -> bool:
        """Wait until the message may differ from what the caller has seen; return False if the time runs out.

        A change between the caller's read and this call counts, so none is missed: read, wait, and read again.
        """
        self.seen = seen.version
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Waiters:
    """Wakes the requests that wait for messages. Lives as long as the process and holds message ids only.

    A change in this process wakes the message's waiters at once. Other processes cannot do that, so one query a second
    covers all waiters together; none is made while nobody waits.

    Attributes:
        ended: The process is stopping, so nobody should wait any more.
    """

    def __init__(self, inbox: Inbox, look_seconds: float = _LOOK_SECONDS) -> None:
        self.ended = False
        self._rounds = Rounds()
        self._inbox = inbox
        self._look_seconds = look_seconds
        self._waiting: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._any = asyncio.Event()

    @property
    def count(self) -> int:
        """Return the number of waiting requests."""
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def waiting(self, message_id: str) -> Iterator[Waiter]:
        """Yield a waiter for this message. Enter before the message is read for the first time."""
        waiter = Waiter()
        if self.ended:
            waiter.wake()
        self._waiting[message_id].add(waiter)
        self._any.set()
        try:
            yield waiter
        finally:
            self._waiting[message_id].discard(waiter)
            if not self._waiting[message_id]:
                del self._waiting[message_id]

    def wake(self, message_id: str) -> None:
        """Wake everybody who waits for this message."""
        for waiter in self._waiting.get(message_id, ()):
            waiter.wake()

    def end(self) -> None:
        """Wake everybody, because the process is stopping."""
        self.ended = True
        for message_id in [*self._waiting]:
            self.wake(message_id)

    @asynccontextmanager
    async def running(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Notice changes by other processes until the context ends."""
        async with supervisor.keeping(waiters=self._look_for_ever):
            yield

    async def look(self) -> None:
        """Wake the waiters whose message differs from what they have seen."""
        versions = await self._inbox.versions([*self._waiting])
        for message_id, waiters in self._waiting.items():
            for waiter in waiters:
                if waiter.seen is not None and waiter.seen != versions.get(message_id):
                    waiter.wake()

    async def _look_for_ever(self) -> None:
        while True:
            if not self._waiting:
                self._any.clear()
                await self._any.wait()
            await asyncio.sleep(self._look_seconds)
            if self._waiting:
                await self._rounds.run("looking for messages that other processes changed", self.look())
