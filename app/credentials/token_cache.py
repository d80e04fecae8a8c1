"""A cache that fetches each value once for all concurrent callers, and keeps it while it is valid."""

from __future__ import annotations

import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from app.single_flight import SingleFlight

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

KEPT_AT_MOST = 10_000


class TokenCache(Generic[Key, Value]):
    """A bounded map from keys to fetched values; lives as long as its owner.

    The key of a personal value has to contain the whole principal. Callers that ask for a key while it is being fetched
    wait for that one fetch. Failures are not cached.

    Args:
        good_until: The time, POSIX seconds, from which a value is fetched again.
        at_most: How many are kept; the one that was used longest ago goes first.
        now: The time, POSIX seconds.
    """

    def __init__(
        self,
        good_until: Callable[[Value], float],
        *,
        at_most: int = KEPT_AT_MOST,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._good_until = good_until
        self._at_most = at_most
        self._now = now
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._fetches: SingleFlight[Key, Value] = SingleFlight()

    def __len__(self) -> int:
        return len(self._values)

    async def get(
        self,
        key: Key,
        fetch: Callable[[], Coroutine[Any, Any, Value]],
        *,
        acceptable: Callable[[Value], bool] = lambda _: True,
    ) -> Value:
        """Return the value of a key; fetch it unless one is kept that is good and acceptable.

        Raises:
            Exception: Whatever `fetch` raises.
        """
        kept = self._values.get(key)
        if kept is not None and self._now() < self._good_until(kept) and acceptable(kept):
            self._values.move_to_end(key)
            return kept
        return await self._fetches.join(key, functools.partial(self._fetch, key, fetch))

    async def _fetch(self, key: Key, fetch: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        self._values.pop(key, None)  # given to nobody any more, also where the fetch fails
        self._values[key] = value = await fetch()
        while len(self._values) > self._at_most:
            self._values.popitem(last=False)
        return value
