"""Signs of life: while a message is being worked on, its sender sees that it is, and after a while with what."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from app.agents.listening import AtWork, Listener, Working
from app.delivery.replies.channel import Channel
from app.errors import DeputyError
from app.log_once import LogOnce
from app.messages import StoredMessage

log = logging.getLogger(__name__)

_THINKING = "waiting for my model"
_SIGN_SECONDS = 5.0  # how long a channel may take to show or to clear a sign


class SignsOfLife:
    """Shows people that their message is being worked on; lives as long as the process, and holds runs that are shown.

    A message that is answered at once gets no sign. A sign that fails is logged, and nobody waits for it.

    Args:
        channels: By platform.
        first_seconds: The age of a message at which its first sign is shown.
        again_seconds: How often the sign is repeated, because most platforms let it fade.
        explain_seconds: The age from which it is said what the run is doing.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        *,
        first_seconds: float = 1.0,
        again_seconds: float = 4.0,
        explain_seconds: float = 15.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._channels = channels
        self._first_seconds = first_seconds
        self._again_seconds = again_seconds
        self._explain_seconds = explain_seconds
        self._now = now
        self._ending: set[asyncio.Task[None]] = set()
        self._log_once = LogOnce(log)

    @asynccontextmanager
    async def shown(self, message: StoredMessage, listener: Listener | None) -> AsyncIterator[AtWork]:
        """Show signs for a message until the context ends; yield a function that takes what the run is doing.

        Args:
            message: The message that is being worked on.
            listener: Follows the run, and gets each sign too.
        """
        work = _Work(self, message, listener)
        age = max(0.0, self._now() - message.created_at)  # another process's clock may be ahead
        timer = asyncio.get_running_loop().call_later(max(0.0, self._first_seconds - age), work.start)
        try:
            yield work.is_at
        finally:
            timer.cancel()
            if work.task is not None:
                ending = asyncio.create_task(self._end(message, work.task))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def show(self, message: StoredMessage, listener: Listener | None, doing: Callable[[], str | None]) -> None:
        """Show a sign again and again, until it is cancelled.

        Args:
            message: The message that is being worked on.
            listener: Follows the run.
            doing: Returns what the run is doing.
        """
        channel = self._channels.get(message.principal.platform)
        while True:
            seconds = self._now() - message.created_at
            explained = (doing() or _THINKING) if seconds >= self._explain_seconds else None
            if listener is not None:
                listener.tell(Working(explained))
            if channel is not None:
                await self._quietly(message, channel.show_working(message, explained))
            await asyncio.sleep(self._again_seconds)

    async def _end(self, message: StoredMessage, showing: asyncio.Task[None]) -> None:
        """Stop the signs of a run, and clear the last one."""
        showing.cancel()
        await asyncio.wait([showing])
        channel = self._channels.get(message.principal.platform)
        if channel is not None:
            await self._quietly(message, channel.show_idle(message))

    async def _quietly(self, message: StoredMessage, sign: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_SIGN_SECONDS):
                await sign
        except (DeputyError, TimeoutError) as error:
            platform = message.principal.platform
            self._log_once.warning(platform, "no sign of life can be shown on %s: %s", platform, error or "no answer")
        except Exception as error:
            # Its text is left out, because it may quote what was posted.
            self._log_once.error(type(error).__name__, "showing a sign of life failed: %s", type(error).__name__)


class _Work:
    """The work on one message; lives as long as its run."""

    def __init__(self, signs: SignsOfLife, message: StoredMessage, listener: Listener | None) -> None:
        self._signs = signs
        self._message = message
        self._listener = listener
        self._doing: str | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to show signs."""
        self.task = asyncio.create_task(self._signs.show(self._message, self._listener, lambda: self._doing))

    def is_at(self, doing: str | None) -> None:
        """Take what the run is doing now."""
        self._doing = doing
