"""Values that are fetched once for all who need them at the same time, and kept while they are good."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

KEPT_AT_MOST = 10_000


class Kept(Generic[Key, Value]):
    """A bounded map from a key to what was fetched for it; lives as long as whoever holds it.

    A key has to contain the whole principal when the value is a person's. Whoever asks for a key that is being fetched
    waits for that one fetch; one that fails is kept for nobody.

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
        self._in_flight: dict[Key, asyncio.Task[Value]] = {}

    def __len__(self) -> int:
        return len(self._values)

    async def get(
        self,
        key: Key,
        fetch: Callable[[], Coroutine[Any, Any, Value]],
        *,
        acceptable: Callable[[Value], bool] = lambda _: True,
    ) -> Value:
        """The value of a key, fetched unless one is kept that is good and acceptable.

        Raises:
            Exception: Whatever `fetch` raises.
        """
        kept = self._values.get(key)
        if kept is not None and self._now() < self._good_until(kept) and acceptable(kept):
            self._values.move_to_end(key)
            return kept
        fetching = self._in_flight.get(key)
        if fetching is None:
            fetching = asyncio.create_task(fetch())
            self._in_flight[key] = fetching
            fetching.add_done_callback(functools.partial(self._land, key))
        try:
            # Waited for, not awaited: a caller that is cancelled must not take the others' fetch along.
            await asyncio.wait([fetching])
            return fetching.result()
        finally:
            del fetching  # its error leads to this frame, and with it to all that its callers hold: no cycle

    def _land(self, key: Key, fetching: asyncio.Task[Value]) -> None:
        del self._in_flight[key]
        if fetching.cancelled() or fetching.exception() is not None:
            self._values.pop(key, None)
            return
        self._values[key] = fetching.result()
        self._values.move_to_end(key)
        while len(self._values) > self._at_most:
            self._values.popitem(last=False)
