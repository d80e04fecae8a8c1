"""The way back over HTTP: the row is the answer, and whoever waits for it is woken."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from app.messages import StoredMessage


class HttpChannel:
    """Wakes the requests that wait for a message; lives as long as the process and holds message ids only.

    Attributes:
        ended: Nobody should wait any more: the process is stopping.
    """

    def __init__(self) -> None:
        self.ended = False
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def send(self, message: StoredMessage, text: str, *, private: bool, reply_id: str, again: bool) -> None:
        """Wake whoever waits for this message; they read its row."""
        for told in self._waiting.get(message.message_id, ()):
            told.set()

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Do nothing: the row is the only copy."""

    def is_group(self, message: StoredMessage) -> bool:
        """Nobody reads along: a message is its sender's alone."""
        return False

    def end_waits(self) -> None:
        """Wake whoever waits for anything, and let nobody wait again."""
        self.ended = True
        for events in self._waiting.values():
            for told in events:
                told.set()

    @contextmanager
    def waiting(self, message_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is something to tell about a message."""
        told = asyncio.Event()
        self._waiting[message_id].add(told)
        try:
            yield told
        finally:
            self._waiting[message_id].discard(told)
            if not self._waiting[message_id]:
                del self._waiting[message_id]
