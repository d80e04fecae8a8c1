"""Streams: readers that listen to a message while it is answered. The message's row stays the truth."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from app.agents.listening import Listener, Progress, TextWritten
from app.delivery.replies.channel import Channel
from app.messages import StoredMessage
from app.principal import Principal

_BEHIND_AT_MOST = 256  # the pieces of progress that are kept for a reader


class Listening:
    """One reader of one run. Lives while its request waits."""

    def __init__(self) -> None:
        self._heard: deque[Progress] = deque()
        self._more = asyncio.Event()
        self._cut_off = False
        self._ended = False

    def tell(self, progress: Progress) -> None:
        """Keep the progress for the reader; a reader that is too far behind gets no more, so that no run waits."""
        if self._cut_off or len(self._heard) == _BEHIND_AT_MOST:
            self._cut_off = True
            return
        self._heard.append(progress)
        self._more.set()

    def end(self) -> None:
        """Mark the end: nothing more will come."""
        self._ended = True
        self._more.set()

    async def next(self) -> Progress | None:
        """Wait for the next piece of progress and return it; None at the end."""
        while not self._heard and not self._ended:
            self._more.clear()
            await self._more.wait()
        return self._heard.popleft() if self._heard else None


@dataclass(frozen=True, slots=True)
class _Everybody:
    listeners: Sequence[Listener]

    def tell(self, progress: Progress) -> None:
        for listener in self.listeners:
            listener.tell(progress)


@dataclass(frozen=True, slots=True)
class _PublicWords:
    """Tells a follower in a group only words that anybody may read."""

    follower: Listener

    def tell(self, progress: Progress) -> None:
        if not isinstance(progress, TextWritten) or progress.public:
            self.follower.tell(progress)


class Streams:
    """Connects readers with runs; lives as long as the process.

    It holds a listening from when its reader begins to wait until a run begins, keyed by the person and their message,
    and never any progress. A listening hears one run from its start, or nothing.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[Principal, str], list[Listening]] = defaultdict(list)

    @contextmanager
    def listening(self, message: StoredMessage) -> Iterator[Listening]:
        """Listen to the next run of a message, which the caller has read on behalf of its sender."""
        key = (message.principal, message.message_id)
        listening = Listening()
        self._waiting[key].append(listening)
        try:
            yield listening
        finally:
            listening.end()
            waiting = self._waiting.get(key, [])
            if listening in waiting:
                waiting.remove(listening)
                if not waiting:
                    del self._waiting[key]

    def listener(self, message: StoredMessage) -> Listener | None:
        """Return a listener that passes a new run's progress to all waiting readers; None without readers."""
        listenings = self._waiting.pop((message.principal, message.message_id), None)
        return _Everybody(listenings) if listenings else None

    @contextmanager
    def followed(self, message: StoredMessage, channel: Channel | None) -> Iterator[Listener | None]:
        """Yield a listener for the run that begins: of all waiting readers, and of the channel until the context ends.

        Where others can read along, the channel is told only words that anybody may read.

        Args:
            message: The message, in the attempt that begins.
            channel: The message's channel, if it is configured.
        """
        follower = channel.follow(message) if channel is not None else None
        try:
            readers = self.listener(message)
            shown: Listener | None = follower
            if follower is not None and channel is not None and channel.is_group(message):
                shown = _PublicWords(follower)
            everybody = [listener for listener in (readers, shown) if listener is not None]
            yield _Everybody(everybody) if everybody else None
        finally:
            if follower is not None:
                follower.end()
