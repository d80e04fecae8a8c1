"""Work that is done once for all who need its outcome at the same time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from app.supervisor import cancel

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """A map from a key to the work for it that is under way; lives as long as whoever holds it.

    A key has to contain the whole principal when the outcome is a person's. The map is empty when nothing is under way.
    """

    def __init__(self) -> None:
        self._under_way: dict[Key, asyncio.Task[Value]] = {}

    def __contains__(self, key: Key) -> bool:
        """Return whether the work for this key is under way, so that `join` would begin none."""
        return key in self._under_way

    async def join(self, key: Key, work: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return the outcome of the work for this key, which is begun unless it is under way already.

        It is done to its end, though all who wait for it are cancelled.

        Raises:
            Exception: Whatever `work` raises, for everybody who waits.
        """
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._under_way[key] = task
            task.add_done_callback(functools.partial(self._land, key))
        try:
            # Waited for, not awaited: a caller that is cancelled must not take along what the others wait for.
            await asyncio.wait([task])
            return task.result()
        finally:
            del task  # its error leads to this frame, and with it to all that its callers hold: no cycle

    async def aclose(self, *, patience_seconds: float) -> None:
        """Wait for what is under way; after that time it is cancelled."""
        under_way = [*self._under_way.values()]
        if not under_way:
            return
        _, late = await asyncio.wait(under_way, timeout=patience_seconds)
        await cancel(late)

    def _land(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # counts as retrieved, though all who waited may be gone
