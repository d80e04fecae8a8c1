"""Waiting within a request: for so many of one person's at once, and for no client that has hung up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import Request

from app.errors import OverLimitError
from app.principal import Principal


class Waits:
    """Counts the requests of each person that wait. Lives as long as the process and remembers nobody else.

    Args:
        most: How many of one person's requests may wait at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: Counter[Principal] = Counter()

    def are_full(self, principal: Principal) -> bool:
        """Return whether no further request of this person may wait."""
        return self._waiting[principal] >= self._most

    @contextmanager
    def one(self, principal: Principal) -> Iterator[None]:
        """Count a request of this person until the context ends.

        Raises:
            OverLimitError: Too many of theirs wait.
        """
        if self.are_full(principal):
            raise OverLimitError(f"{self._most} of your requests are waiting already; let one of them end first")
        self._waiting[principal] += 1
        try:
            yield
        finally:
            self._waiting[principal] -= 1
            if not self._waiting[principal]:
                del self._waiting[principal]


@asynccontextmanager
async def hanging_up(request: Request, notify: Callable[[], None]) -> AsyncIterator[asyncio.Task[None]]:
    """Yield a task that is done once the client has hung up, and call `notify` then.

    Args:
        request: Its body has been read, or it has none.
        notify: Also called as the context ends.
    """
    task = asyncio.create_task(_hung_up(request))
    task.add_done_callback(lambda _: notify())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
