"""Waiting out a fault of Google's that passes: a 5xx, a 429, a broken connection.

https://developers.google.com/workspace/gmail/api/guides/handle-errors#exponential-backoff
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.errors import ProviderError

FIRST_PAUSE_SECONDS = 1.0  # at most; drawn at random, and doubled with each try
MAX_PAUSE_SECONDS = 16.0
MAX_TRIES = 5

T = TypeVar("T")


class Patience:
    """How long one call goes on trying; lives as long as that.

    Args:
        seconds_left: How long may still be waited.
    """

    def __init__(self, seconds_left: Callable[[], float]) -> None:
        self._seconds_left = seconds_left
        self._tries = 1

    def pause_after(self, *errors: ProviderError) -> float | None:
        """Return for how many seconds to wait after these errors; None where it is time to give up.

        What Google asks for by `Retry-After` is waited at least; a pause that would not fit is not begun.
        """
        if self._tries >= MAX_TRIES:
            return None
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (self._tries - 1), MAX_PAUSE_SECONDS)
        self._tries += 1
        drawn = random.uniform(0.0, longest)  # noqa: S311  # spreads calls that failed at once
        pause = max(drawn, *(error.retry_after or 0.0 for error in errors))
        return pause if pause < self._seconds_left() else None


async def retried(call: Callable[[], Awaitable[T]], *, seconds_left: Callable[[], float]) -> T:
    """Make a call that may be repeated, and repeat it after temporary faults while there is time.

    Raises:
        ProviderError: The last try's.
    """
    patience = Patience(seconds_left)
    while True:
        try:
            return await call()
        except ProviderError as error:
            pause = patience.pause_after(error) if error.passes else None
            if pause is None:
                raise
        await asyncio.sleep(pause)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for; a date in it, which Google does not send, gives None."""
    return float(value) if value is not None and value.isdecimal() and len(value) < 10 else None
