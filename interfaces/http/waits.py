"""Waiting within a request: a limit for each person, and an end when the client disconnects."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import Request

from app.errors import OverLimitError
from app.principal import Principal
from app.supervisor import cancel


class Waits:
    """Counts each person's waiting requests. Lives as long as the process, and forgets a person with none waiting.

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
            OverLimitError: Too many of this person's requests are waiting.
        """
        if self.are_full(principal):
            raise OverLimitError(f"{self._most} of your requests are already waiting; let one of them finish first")
        self._waiting[principal] += 1
        try:
            yield
        finally:
            self._waiting[principal] -= 1
            if not self._waiting[principal]:
                del self._waiting[principal]


@asynccontextmanager
async def hanging_up(request: Request, notify: Callable[[], None]) -> AsyncIterator[asyncio.Task[None]]:
    """Yield a task that is done once the client has disconnected, and call `notify` then.

    Args:
        request: A request whose body has been read, or that has none.
        notify: Also called when the context ends.
    """
    task = asyncio.create_task(_hung_up(request))
    task.add_done_callback(lambda _: notify())
    try:
        yield task
    finally:
        await cancel([task])


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
