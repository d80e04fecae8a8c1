"""Streams answers, and before them what is being done, into private chats as drafts (https://core.telegram.org/bots/api#sendmessagedraft).

Groups have no drafts: there, `GroupAnswers` edits a message.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack

from app.agents.listening import TextWritten, ToolUsed
from app.delivery.replies.streams import Listening, Streams
from app.errors import DeputyError
from app.log_once import LogOnce
from app.messages import StoredMessage
from app.supervisor import cancel
from interfaces.telegram.bot_api import BotApi, in_our_words
from interfaces.telegram.formatting import parts_of

log = logging.getLogger(__name__)

_EVERY_SECONDS = 1.0  # between two drafts of one answer
_AGAIN_SECONDS = 20.0  # until the same words are shown again; a draft fades after 30
_WORK_AT_MOST = 10_000  # messages whose work is remembered
_FOLLOWED_AT_MOST = 500  # messages
_FOLLOWED_SECONDS = 900.0  # one that was not begun by then is answered without drafts


class AnswerDrafts:
    """Follows runs in this process, and shows what they write. Lives as long as the process.

    A draft fades, and the reply takes its place; the reply alone is stored and sent by delivery. A draft that fails is
    logged, and the run is followed no more.

    Args:
        api: The bot.
        streams: Where runs can be heard.
        every_seconds: The least time between two drafts of one answer.
        now: A monotonic clock.
    """

    def __init__(
        self,
        api: BotApi,
        streams: Streams,
        every_seconds: float = _EVERY_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._streams = streams
        self._every_seconds = every_seconds
        self._now = now
        self._following: dict[str, asyncio.Task[None]] = {}
        self._written: set[str] = set()  # messages whose answer is shown
        self._work: OrderedDict[str, tuple[str, float]] = OrderedDict()  # by message, what was shown last, and when
        self._log = LogOnce(log)

    def follow(self, message: StoredMessage) -> None:
        """Follow the next run of a message that was just stored; in the same step, as it may begin in the next."""
        if not message.address["direct"] or len(self._following) >= _FOLLOWED_AT_MOST:
            return
        if message.message_id in self._following:
            return
        with ExitStack() as stack:
            listening = stack.enter_context(self._streams.listening(message))
            task = asyncio.create_task(self._follow(message, listening, stack.pop_all()))
        self._following[message.message_id] = task
        task.add_done_callback(lambda _: self._following.pop(message.message_id, None))

    async def show_work(self, message: StoredMessage, words: str) -> None:
        """Show what is being done for a message, unless it is shown already, or its answer is.

        Raises:
            UnavailableError: Telegram refuses it for now.
            UndeliverableError: Telegram refuses it permanently.
        """
        shown, at = self._work.get(message.message_id, ("", 0.0))
        if message.message_id in self._written or (shown == words and self._now() - at < _AGAIN_SECONDS):
            return
        self._work[message.message_id] = (words, self._now())
        if len(self._work) > _WORK_AT_MOST:
            self._work.popitem(last=False)
        await self._draft(message, words)

    def end(self, message_id: str) -> None:
        """Follow a message no more, because its reply is on its way."""
        self._work.pop(message_id, None)
        if task := self._following.get(message_id):
            task.cancel()

    async def aclose(self) -> None:
        """Follow nothing any more."""
        await cancel([*self._following.values()])

    async def _follow(self, message: StoredMessage, listening: Listening, stack: ExitStack) -> None:
        """Follow one run; the outermost edge of a task."""
        with stack:
            stack.callback(self._written.discard, message.message_id)
            try:
                async with asyncio.timeout(_FOLLOWED_SECONDS):
                    await self._show(message, listening)
            except (DeputyError, TimeoutError) as error:
                self._log.warning("draft", "an answer is not shown while it is written: %s", type(error).__name__)
            except Exception as error:
                # Its text is left out, because it may quote the answer.
                self._log.error("crash", "showing an answer while it is written failed: %s", type(error).__name__)

    async def _show(self, message: StoredMessage, listening: Listening) -> None:
        text, shown_at = "", -self._every_seconds
        while (progress := await listening.next()) is not None:
            if isinstance(progress, ToolUsed):
                text = ""  # what was written before a tool is used is no part of the answer
                self._written.discard(message.message_id)
            elif isinstance(progress, TextWritten):
                text += progress.delta
                if text.strip() and self._now() - shown_at >= self._every_seconds:
                    shown_at = self._now()
                    self._written.add(message.message_id)
                    await self._draft(message, text)

    async def _draft(self, message: StoredMessage, text: str) -> None:
        bot = await self._api.bot()
        part = (await asyncio.to_thread(parts_of, text))[-1]
        with in_our_words():
            await bot.send_message_draft(
                chat_id=message.address["chat"],
                draft_id=int(message.message_id[:7], 16) or 1,
                message_thread_id=message.address["thread"],
                text=part.text,
                can_stop=True,
            )
