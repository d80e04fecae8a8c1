"""Back-pressure: past a limit nothing more is accepted, and so nothing that was accepted is dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from app.delivery.store.inbox import Inbox
from app.errors import UnavailableError

_COUNTED_FOR_SECONDS = 0.5


class Backlog:
    """Knows about how many messages wait; lives as long as the process.

    It counts seldom: between two counts it takes whatever is accepted here for waiting still. Near the limit it counts
    anew, at most twice a second.
    """

    def __init__(self, inbox: Inbox, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        self._inbox = inbox
        self._limit = limit
        self._now = now
        self._counting = asyncio.Lock()
        self._waiting = limit  # not counted yet
        self._counted_at = -_COUNTED_FOR_SECONDS

    async def admit(self) -> None:
        """Return if one more message can be accepted.

        Raises:
            UnavailableError: Too many wait; whoever sends it should send it again later.
        """
        if self._waiting >= self._limit:
            async with self._counting:
                if self._waiting >= self._limit and self._now() - self._counted_at >= _COUNTED_FOR_SECONDS:
                    self._waiting = await self._inbox.count_undone()
                    self._counted_at = self._now()
        if self._waiting >= self._limit:
            raise UnavailableError("too many messages wait here; send it again in a moment")
        self._waiting += 1
