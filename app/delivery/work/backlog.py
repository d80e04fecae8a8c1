"""Back-pressure: messages over a limit are refused, so that no accepted message is ever dropped."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from app.delivery.store.inbox import Inbox
from app.errors import OverLimitError, UnavailableError
from app.principal import Principal

_COUNTED_FOR_SECONDS = 0.5


class Backlog:
    """Estimates how many messages wait, of each person and in total. Lives as long as the process.

    The limit per person is far below the total, so nobody can shut the others out alone. The database is counted only
    at a limit, at most twice a second; between two counts every accepted message is assumed to be still waiting. The
    estimate holds only people who had a message waiting at the last count or have written since.

    Args:
        inbox: Where messages wait.
        limit: The maximum number of waiting messages in total.
        person_limit: The maximum number of one person's.
        now: A monotonic clock.
    """

    def __init__(self, inbox: Inbox, limit: int, person_limit: int, now: Callable[[], float] = time.monotonic) -> None:
        self._inbox = inbox
        self._limit = limit
        self._person_limit = person_limit
        self._now = now
        self._counting = asyncio.Lock()
        self._waiting: Counter[Principal] = Counter()
        self._in_all = limit  # not counted yet
        self._counted_at = -_COUNTED_FOR_SECONDS

    async def admit(self, principal: Principal) -> None:
        """Check that one more message of this person can be accepted, and count it.

        Raises:
            OverLimitError: Too many of this person's own messages wait.
            UnavailableError: Too many messages wait in total; the sender should send it again later.
        """
        if self._is_full(principal):
            async with self._counting:
                if self._is_full(principal) and self._now() - self._counted_at >= _COUNTED_FOR_SECONDS:
                    self._waiting = await self._inbox.count_undone()
                    self._in_all = self._waiting.total()
                    self._counted_at = self._now()
        if self._waiting[principal] >= self._person_limit:
            raise OverLimitError(
                f"{self._waiting[principal]} of your messages wait for an answer already; send this one again once "
                "some of them are answered"
            )
        if self._in_all >= self._limit:
            raise UnavailableError("too many messages wait here; send it again in a moment")
        self._waiting[principal] += 1
        self._in_all += 1

    def _is_full(self, principal: Principal) -> bool:
        return self._in_all >= self._limit or self._waiting[principal] >= self._person_limit
