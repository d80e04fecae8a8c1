"""Signs of life: while a message is being worked on, its sender sees that it is, and after a while with what."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.agents.listening import AtWork, Listener, Working
from app.delivery.replies.channel import Channel
from app.errors import DeputyError
from app.log_once import LogOnce
from app.messages import StoredMessage
from app.supervisor import cancel, forget_cancellation, guarded

log = logging.getLogger(__name__)

_THINKING = "waiting for the model"
_BETWEEN_TRIES = "waiting a moment before trying again"
_SIGN_SECONDS = 5.0  # how long a channel may take to show or to clear a sign
_LATE_SECONDS = 5.0  # how much later than planned the next try may begin


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
        self._working: dict[str, _Work] = {}  # by message
        self._between: dict[str, asyncio.Task[bool]] = {}  # by message that waits for its next try
        self._behind_runs: set[asyncio.Task[bool]] = set()
        self._log_once = LogOnce(log)

    @asynccontextmanager
    async def shown(self, message: StoredMessage, listener: Listener | None) -> AsyncIterator[AtWork]:
        """Show signs for a message until the context ends; yield a function that takes what the run is doing.

        Args:
            message: The message that is being worked on.
            listener: Follows the run, and gets each sign too.
        """
        work = self._working[message.message_id] = _Work(self, message, listener)
        if between := self._between.pop(message.message_id, None):
            between.cancel()
        age = max(0.0, self._now() - message.created_at)  # another process's clock may be ahead
        timer = asyncio.get_running_loop().call_later(max(0.0, self._first_seconds - age), work.start)
        try:
            yield work.is_at
        finally:
            timer.cancel()
            del self._working[message.message_id]
            if work.rest is not None:
                self._between[message.message_id] = self._behind(self._wait(message, work.task, work.rest))
            elif work.task is not None:
                self._behind(self._end(message, work.task))

    def rest(self, message: StoredMessage, seconds: float, waits: Callable[[], Awaitable[bool]]) -> None:
        """Go on showing signs once the run of a message has ended, because it will be tried again.

        Args:
            message: The message, which is being shown.
            seconds: The time until the next try.
            waits: Returns whether the message still waits for it.
        """
        if work := self._working.get(message.message_id):
            work.rest = _Rest(seconds, waits)

    async def aclose(self) -> None:
        """Show nothing any more, and return once every call to a channel has ended, which takes seconds at most."""
        await cancel(self._between.values())
        # Those that the next try has cancelled are among them, and may still be ending.
        await asyncio.gather(*self._behind_runs, return_exceptions=True)

    async def show(self, message: StoredMessage, listener: Listener | None, doing: Callable[[], str]) -> None:
        """Show a sign again and again, until it is cancelled.

        Args:
            message: The message that is being worked on.
            listener: Follows the run.
            doing: Returns what the run is doing.
        """
        while True:
            explained = self._explained(message, doing())
            if listener is not None:
                listener.tell(Working(explained))
            await self._show_one(message, explained)
            await asyncio.sleep(self._again_seconds)

    def _explained(self, message: StoredMessage, doing: str) -> str | None:
        """Return what is being done, once the message is old enough for its sender to ask."""
        return doing if self._now() - message.created_at >= self._explain_seconds else None

    async def _show_one(self, message: StoredMessage, explained: str | None) -> None:
        channel = self._channels.get(message.principal.platform)
        if channel is not None:
            await self._quietly(message, channel.show_working(message, explained))

    def _behind(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[bool]:
        """Do something for which no run waits; the outermost edge of a task."""
        task = asyncio.create_task(guarded("showing signs of life", work))
        self._behind_runs.add(task)
        task.add_done_callback(self._behind_runs.discard)
        task.add_done_callback(forget_cancellation)
        return task

    async def _wait(self, message: StoredMessage, showing: asyncio.Task[None] | None, rest: _Rest) -> None:
        """Show signs until the next try takes over, and clear them if it does not begin."""
        if showing is not None:
            await cancel([showing])
        try:
            async with asyncio.timeout(rest.seconds + _LATE_SECONDS):
                while await rest.waits():
                    await self._show_one(message, self._explained(message, _BETWEEN_TRIES))
                    await asyncio.sleep(self._again_seconds)
        except TimeoutError:
            pass
        self._between.pop(message.message_id, None)
        await self._clear(message)

    async def _end(self, message: StoredMessage, showing: asyncio.Task[None]) -> None:
        """Stop the signs of a run, and clear the last one."""
        await cancel([showing])
        await self._clear(message)

    async def _clear(self, message: StoredMessage) -> None:
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


@dataclass(frozen=True, slots=True)
class _Rest:
    """The time until a message is tried again; attributes as `SignsOfLife.rest` takes them."""

    seconds: float
    waits: Callable[[], Awaitable[bool]]


class _Work:
    """The work on one message; lives as long as its run.

    Attributes:
        task: Shows the signs, once the first is due.
        rest: The time until the next try, if the message will be tried again.
    """

    def __init__(self, signs: SignsOfLife, message: StoredMessage, listener: Listener | None) -> None:
        self._signs = signs
        self._message = message
        self._listener = listener
        self._doing: str | None = None
        self.task: asyncio.Task[None] | None = None
        self.rest: _Rest | None = None

    def start(self) -> None:
        """Begin to show signs."""
        self.task = asyncio.create_task(
            self._signs.show(self._message, self._listener, lambda: self._doing or _THINKING)
        )

    def is_at(self, doing: str | None) -> None:
        """Take what the run is doing now."""
        self._doing = doing
