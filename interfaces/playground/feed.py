"""Passes on what happens in request scopes to the pages that are open. It carries ids and names only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MAX_PENDING = 2000  # events that a page may be behind; one that reads too slowly is cut off, and begins anew


@dataclass(frozen=True, slots=True)
class ScopeEvent:
    """One thing that happened.

    Attributes:
        kind: opened, built, called, closed or freed.
        data: JSON values: ids, names, times and numbers.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Viewing:
    """One page's view. Lives as long as the page's request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: deque[ScopeEvent] = deque()
        self._more = asyncio.Event()
        self._ended = False

    def tell(self, event: ScopeEvent) -> None:
        """Take an event, from any thread."""
        self._loop.call_soon_threadsafe(self._take, event)

    def end(self) -> None:
        """Make `next` return None once the pending events have been read."""
        self._ended = True
        self._more.set()

    async def next(self) -> ScopeEvent | None:
        """Wait for the next event and return it; None at the end."""
        while not self._pending and not self._ended:
            self._more.clear()
            await self._more.wait()
        return self._pending.popleft() if self._pending else None

    def _take(self, event: ScopeEvent) -> None:
        if len(self._pending) >= MAX_PENDING:
            self.end()
        if not self._ended:
            self._pending.append(event)
            self._more.set()


class Feed:
    """Passes events to every page that is open, and keeps none. Lives as long as the process."""

    def __init__(self) -> None:
        self._viewings: tuple[Viewing, ...] = ()
        self._ended = False

    @property
    def is_watched(self) -> bool:
        """Return whether a page is open; otherwise there is nobody to tell."""
        return bool(self._viewings)

    def tell(self, kind: str, **data: Any) -> None:
        """Tell every open page; may be called from any thread."""
        event = ScopeEvent(kind, data)
        for viewing in self._viewings:
            viewing.tell(event)

    @contextmanager
    def viewing(self) -> Iterator[Viewing]:
        """Watch until the context ends; earlier events are not repeated."""
        viewing = Viewing(asyncio.get_running_loop())
        if self._ended:
            viewing.end()
        self._viewings = (*self._viewings, viewing)
        try:
            yield viewing
        finally:
            self._viewings = tuple(each for each in self._viewings if each is not viewing)

    def end(self) -> None:
        """End all views, because the process is stopping."""
        self._ended = True
        for viewing in self._viewings:
            viewing.end()
