"""Answers that grow while they are written, in a message of their channel that becomes the reply."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from app.agents.listening import Progress, TextWritten, ToolUsed
from app.errors import DeputyError
from app.log_once import LogOnce
from app.messages import StoredMessage

_AT_MOST = 10_000  # answers
_KEPT_SECONDS = 3600.0


class GrowingAnswer(ABC):
    """Shows the words of one message's runs, one after the other; lives until its reply is sent.

    Args:
        message: The message, in the attempt that begins.
        log: Where a failure is logged; it harms nothing else.
        first_seconds: The time after the first words in which an answer may still come without being shown.
        every_seconds: The time between two changes.
    """

    def __init__(self, message: StoredMessage, log: LogOnce, *, first_seconds: float, every_seconds: float) -> None:
        self._message = message
        self._log = log
        self._first_seconds = first_seconds
        self._every_seconds = every_seconds
        self._text = self._work = self._shown = ""
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, message: StoredMessage) -> None:
        """Follow the next run of the message."""
        self._message = message
        self.end()

    def tell(self, progress: Progress) -> None:
        """Take the progress of a run."""
        if isinstance(progress, TextWritten):
            self._text += progress.delta
            self._wake()
        elif isinstance(progress, ToolUsed):
            self._text = ""  # words written before a tool is used are no part of the answer

    def end(self) -> None:
        """Show no more words of the run; what is shown stays until the reply is sent."""
        self._text = self._work = ""

    def show_work(self, words: str) -> None:
        """Show what is being done, unless the answer is shown already."""
        self._work = words
        self._wake()

    async def close(self) -> None:
        """Return once nothing will be shown any more."""
        self._over.set()
        if self._task is not None:
            # A caller that is cancelled does not cut the task off between a post and its note.
            await asyncio.wait({self._task})

    @abstractmethod
    def _is_begun(self) -> bool:
        """Return whether a message is there already."""

    def _seconds_until_room(self) -> float:
        """Return how long the platform takes no change; by default it takes one now."""
        return 0.0

    @abstractmethod
    async def _show_now(self, words: str) -> None:
        """Show these words.

        Raises:
            DeputyError: They cannot be shown now; later words are tried again.
        """

    def _wake(self) -> None:
        if not self._over.is_set() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._show())

    def _is_news(self) -> bool:
        return not self._over.is_set() and (self._text or self._work).strip() not in ("", self._shown)

    async def _show(self) -> None:
        """Show what is new until nothing is; the outermost edge of a task."""
        try:
            if not self._is_begun():
                await self._pause(self._first_seconds)
            while self._is_news():
                if wait := self._seconds_until_room():
                    await self._pause(wait)
                    continue
                words = self._text or self._work
                self._shown = words.strip()
                await self._show_now(words)
                await self._pause(self._every_seconds)
        except (DeputyError, TimeoutError) as error:
            self._log.warning("growing", "an answer is not shown while it is written: %s", error)
        except Exception as error:
            # Its text is left out, because it may quote the answer.
            self._log.error("crash", "showing an answer while it is written failed: %s", type(error).__name__)

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the reply comes first."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)


Answer = TypeVar("Answer", bound=GrowingAnswer)


class GrowingAnswers(Generic[Answer]):
    """Knows the answers that are being written here, with their words; lives as long as the process.

    Args:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: OrderedDict[str, tuple[Answer, float]] = OrderedDict()  # by message, and since when

    def follow(self, message: StoredMessage, new: Callable[[], Answer]) -> Answer:
        """Return what shows the run of a message that begins; `new` returns it for the message's first run here."""
        self._forget_old()
        answer, _ = self._known.pop(message.message_id, (None, 0.0))
        if answer is None:
            answer = new()
        else:
            answer.begin(message)
        self._known[message.message_id] = (answer, self._now())
        return answer

    def find(self, message: StoredMessage) -> Answer | None:
        """Return what shows the answer to a message here."""
        answer, _ = self._known.get(message.message_id, (None, 0.0))
        return answer

    async def take(self, message: StoredMessage) -> Answer | None:
        """Return what has shown the answer to a message here, once it shows no more, and forget it."""
        answer, _ = self._known.pop(message.message_id, (None, 0.0))
        if answer is not None:
            await answer.close()
        return answer

    def _forget_old(self) -> None:
        """Forget answers that another process has sent."""
        while self._known:
            message_id, (_, since) = next(iter(self._known.items()))
            if len(self._known) < _AT_MOST and self._now() - since < _KEPT_SECONDS:
                return
            del self._known[message_id]
