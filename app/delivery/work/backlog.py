"""Back-pressure: past a limit nothing more is accepted, and so nothing that was accepted is dropped."""

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
    """Knows about how many messages wait, of each person and in all. Lives as long as the process.

    A person reaches their own limit long before everybody's, so nobody can shut the others out alone. It counts
    seldom: between two counts it assumes that whatever is accepted here still waits. At a limit it counts again, at
    most twice a second. Between two counts it holds those people only who had something waiting, or wrote since.

    Args:
        inbox: Where messages wait.
        limit: Of everybody's messages together.
        person_limit: Of one person's.
        now: A clock that only goes forward.
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
        """Return if one more message of this person can be accepted.

        Raises:
            OverLimitError: Too many of this person's own messages wait.
            UnavailableError: Too many messages wait in all; the sender should send it again later.
        """
        if self._is_full(principal):
            async with self._counting:
                if self._is_full(principal) and self._now() - self._counted_at >= _COUNTED_FOR_SECONDS:
                    self._waiting = await self._inbox.count_undone()
                    self._in_all = self._waiting.total()
                    self._counted_at = self._now()
        if self._waiting[principal] >= self._person_limit:
            raise OverLimitError(
                f"{self._waiting[principal]} of your messages wait for an answer already; send this one again when "
                "some of them are answered"
            )
        if self._in_all >= self._limit:
            raise UnavailableError("too many messages wait here; send it again in a moment")
        self._waiting[principal] += 1
        self._in_all += 1

    def _is_full(self, principal: Principal) -> bool:
        return self._in_all >= self._limit or self._waiting[principal] >= self._person_limit
