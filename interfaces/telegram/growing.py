"""Answers in groups that are shown while they are written, each in one message that is edited until it is the reply.

Only words are shown that anybody may read. A message is noted in the database before it is begun, so the process that
sends the reply finishes it (https://core.telegram.org/bots/api#editmessagetext).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from app.delivery.replies.growing import GrowingAnswer, GrowingAnswers
from app.delivery.store.notes import ChannelNotes
from app.errors import DeputyError, UnavailableError, UnclearError, UndeliverableError
from app.log_once import LogOnce
from app.messages import StoredMessage
from interfaces.telegram.formatting import Part, parts_of
from interfaces.telegram.pace import GROUP_SECONDS, Pace
from interfaces.telegram.posting import BotMessages, Keyboard, Spot

log = logging.getLogger(__name__)

_NOTE = "growing"
_UNCHANGED = "message is not modified"
_IS_DELETED = "message to delete not found"


@dataclass(frozen=True, slots=True)
class GrowingMessage:
    """The message that becomes an answer, as it stands in the notes of the person's message.

    Attributes:
        chat_id: The group.
        message_id: Its id; 0 if it was begun and the id is not known.
        reply_id: The reply that it has become, or empty.
    """

    chat_id: int
    message_id: int = 0
    reply_id: str = ""

    @classmethod
    def noted(cls, message: StoredMessage) -> GrowingMessage | None:
        """Return the message that any process has begun for an answer."""
        note: Mapping[str, Any] | None = (message.notes or {}).get(_NOTE)
        return cls(**note) if note else None

    def note(self) -> dict[str, Any]:
        """Return the notes about it."""
        return {_NOTE: asdict(self)}


@dataclass(frozen=True, slots=True)
class _Tools:
    """The objects that all answers share; they live as long as the process."""

    posting: BotMessages
    notes: ChannelNotes
    pace: Pace
    log: LogOnce


class GroupAnswer(GrowingAnswer):
    """Shows the words of one message's runs, one after the other; lives until its reply is sent.

    Args:
        tools: Shared by all answers.
        message: The message.
        seconds: As `GroupAnswers` takes them.
    """

    def __init__(self, tools: _Tools, message: StoredMessage, seconds: float) -> None:
        super().__init__(message, tools.log, first_seconds=seconds, every_seconds=seconds)
        self._tools = tools
        self._last: Part | None = None
        self.shown = _unfinished(message)

    def begin(self, message: StoredMessage) -> None:
        """Follow the next run of the message; another process may have done runs in between."""
        super().begin(message)
        self.shown = _unfinished(message)

    def _is_begun(self) -> bool:
        return self.shown is not None

    def _seconds_until_room(self) -> float:
        """Return how long the group takes no message; an edit counts as one."""
        return self._tools.pace.seconds_until_free(self._chat_id())

    async def _show_now(self, words: str) -> None:
        tools, shown = self._tools, self.shown
        part = (await asyncio.to_thread(parts_of, words))[0]
        if part == self._last:  # the answer has outgrown one message
            return
        if not await tools.notes.is_open(self._message) or (shown is not None and not shown.message_id):
            self._over.set()  # another process answers it, it has been answered, or nobody knows what was begun
            return
        if not tools.pace.take_if_free(self._chat_id()):
            return
        try:
            if shown is None:
                await self._begin(part)
            else:
                await tools.posting.edit(shown.chat_id, shown.message_id, part, [])
        except UnavailableError as error:
            tools.pace.rest(self._chat_id(), error.retry_after)
            raise
        except UndeliverableError:
            self._over.set()
            raise
        finally:
            tools.pace.arrived(self._chat_id())
        self._last = part

    async def _begin(self, part: Part) -> None:
        """Send the message; note it before and after, so that it is begun once."""
        tools, message = self._tools, self._message
        spot = await tools.posting.spot_of(message)
        begun = GrowingMessage(spot.chat_id)
        if not await tools.notes.keep(message, begun.note(), while_open=True):
            self._over.set()
            return
        self.shown = begun
        try:
            sent = replace(begun, message_id=await tools.posting.send(spot, part, []))
        except DeputyError as error:
            if not isinstance(error, UnclearError):
                self.shown = None  # nothing was sent
            raise
        self.shown = sent
        if not await tools.notes.keep(message, sent.note(), while_open=True):
            self.shown = None
            self._over.set()
            await withdraw(tools.posting, message, sent)

    def _chat_id(self) -> int:
        return self.shown.chat_id if self.shown is not None else int(self._message.address["chat"])


class GroupAnswers:
    """Knows the answers that are being written in groups; lives as long as the process and holds their words.

    Args:
        posting: Sends and edits messages.
        notes: Where messages are noted.
        pace: Keeps to the limits of groups, in which an edit counts as a message.
        seconds: The time in which an answer may still come without being shown, and between two edits.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        posting: BotMessages,
        notes: ChannelNotes,
        pace: Pace,
        *,
        seconds: float = GROUP_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tools = _Tools(posting, notes, pace, LogOnce(log))
        self._seconds = seconds
        self._written = GrowingAnswers[GroupAnswer](now)

    def follow(self, message: StoredMessage) -> GroupAnswer:
        """Return what shows the run of a message that begins."""
        return self._written.follow(message, partial(GroupAnswer, self._tools, message, self._seconds))

    async def finish(self, message: StoredMessage, spot: Spot, part: Part, keyboard: Keyboard, reply_id: str) -> bool:
        """Turn what was written of an answer into the first part of a reply, as often as that is tried.

        Returns:
            False if nothing was written there, so that the part has to be sent.

        Raises:
            UnclearError: Telegram did not answer, or reported an internal error.
            UnavailableError: Telegram refuses it for now.
        """
        shown = await self._end(message)
        if shown is None or not shown.message_id or shown.chat_id != spot.chat_id:
            return False
        if shown.reply_id not in ("", reply_id):
            return False
        try:
            async with self._tools.pace.turn(shown.chat_id):
                await self._tools.posting.edit(shown.chat_id, shown.message_id, part, keyboard)
        except UndeliverableError as error:
            if _UNCHANGED not in error.reason:
                log.warning("message %s: its answer is sent anew: %s", message.message_id, error)
                await withdraw(self._tools.posting, message, shown)
                return False
        await self._tools.notes.keep(message, replace(shown, reply_id=reply_id).note(), while_open=False)
        return True

    async def drop(self, message: StoredMessage) -> None:
        """Take away what was written of an answer and has become no reply, because nothing follows there."""
        shown = await self._end(message)
        if shown is not None and shown.message_id and not shown.reply_id:
            await withdraw(self._tools.posting, message, shown)

    async def _end(self, message: StoredMessage) -> GrowingMessage | None:
        """Return the message that was begun for an answer, once nothing here changes it any more."""
        written = await self._written.take(message)
        mine, noted = written.shown if written is not None else None, GrowingMessage.noted(message)
        # This process knows what it has begun itself, unless another one has begun a message since.
        return mine if mine is not None and (noted is None or mine.message_id == noted.message_id) else noted


def _unfinished(message: StoredMessage) -> GrowingMessage | None:
    """Return the message that was begun for an answer, unless it has become a reply already."""
    shown = GrowingMessage.noted(message)
    return None if shown is None or shown.reply_id else shown


async def withdraw(posting: BotMessages, message: StoredMessage, shown: GrowingMessage) -> None:
    """Delete what was written of an answer; if Telegram refuses that permanently, log it and leave it there.

    Raises:
        UnclearError: Telegram did not answer, or reported an internal error.
        UnavailableError: Telegram refuses it for now.
    """
    try:
        await posting.delete(shown.chat_id, shown.message_id)
    except UndeliverableError as error:
        if _IS_DELETED not in error.reason:
            log.warning("message %s: what was written of its answer stays: %s", message.message_id, error)
