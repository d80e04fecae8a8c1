"""Shows answers while they are written, each in one message that becomes the answer.

In a thread of a direct chat Slack streams the message (https://docs.slack.dev/reference/methods/chat.startStream);
elsewhere it is posted and then changed. In a channel only words are shown that anybody may read.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from app.delivery.replies.growing import GrowingAnswer
from app.delivery.store.notes import ChannelNotes
from app.errors import DeputyError, UnavailableError, UnclearError, UndeliverableError
from app.log_once import LogOnce
from app.messages import StoredMessage
from interfaces.slack.budget import CallBudget
from interfaces.slack.formatting import MAX_MARKDOWN_LENGTH, MAX_POST_LENGTH, escaped, posts
from interfaces.slack.lost import begun_metadata
from interfaces.slack.markdown import safe_markdown
from interfaces.slack.refusals import IS_DELETED, in_our_words, reason_of

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

FIRST_SECONDS, EVERY_SECONDS = 1.0, 1.0  # before a message is begun, and between two changes; Slack takes one a second
_STREAM_IS_OVER = frozenset({"message_not_in_streaming_state", "stopped_by_user"})
_BEGUN = "…"  # the text of a message that has none yet
_NOTE = "draft"


class StreamIsOverError(DeputyError):
    """Slack takes nothing more for a stream: it ended it after five minutes, or a person did."""


OpenClient = Callable[[], Awaitable["AsyncWebClient"]]


@dataclass(frozen=True, slots=True)
class Draft:
    """The message that becomes an answer, as it stands in the notes of the person's message.

    Attributes:
        ts: Its timestamp; empty if it was begun and the timestamp is not known.
        streaming: Slack takes pieces for it, and no changes.
        sent: The Markdown that was streamed; None if that is not known for certain.
    """

    ts: str
    streaming: bool
    sent: str | None = field(default=None, repr=False)

    @classmethod
    def noted(cls, message: StoredMessage) -> Draft | None:
        """Return the draft that any process has begun for a message."""
        note: Mapping[str, Any] | None = (message.notes or {}).get(_NOTE)
        return cls(note["ts"], note["streaming"]) if note else None

    def note(self) -> dict[str, Any]:
        """Return the notes about it."""
        return {_NOTE: {"ts": self.ts, "streaming": self.streaming}}


@dataclass(frozen=True, slots=True)
class DraftTools:
    """The objects that all drafts share; they live as long as the process.

    Attributes:
        first_seconds: The time after the first words in which an answer may still come without a draft.
        every_seconds: The time between two changes of one draft.
    """

    notes: ChannelNotes
    budget: CallBudget
    log: LogOnce
    first_seconds: float
    every_seconds: float


class AnswerBeingWritten(GrowingAnswer):
    """Shows the words of one message's runs, one after the other; lives until its reply is sent."""

    def __init__(self, tools: DraftTools, message: StoredMessage, open_client: OpenClient) -> None:
        seconds = {"first_seconds": tools.first_seconds, "every_seconds": tools.every_seconds}
        super().__init__(message, tools.log, **seconds)
        self._tools = tools
        self._open_client = open_client
        self.draft = Draft.noted(message)

    def begin(self, message: StoredMessage) -> None:
        """Follow the next run of the message; another process may have done runs in between."""
        super().begin(message)
        self.draft = Draft.noted(message)

    def _is_begun(self) -> bool:
        return self.draft is not None

    async def _show_now(self, words: str) -> None:
        draft = self.draft or await self._open()
        # Not here if another process answers this message, it has been answered, or nobody knows what was begun for it.
        if draft is None or not draft.ts or not await self._tools.notes.is_open(self._message):
            self._over.set()
            return
        text = safe_markdown(posts(words, MAX_MARKDOWN_LENGTH)[0])
        if draft.streaming and (draft.sent is None or not text.startswith(draft.sent)):
            draft = await self._stop_stream(draft)  # because nothing can be taken back in a stream
        if not draft.streaming:
            await self._change(draft, words, text)
        elif text != draft.sent:
            await self._append(draft, text)

    async def _open(self) -> Draft | None:
        """Begin the message without any words of the answer; note it before and after, so that it is begun once."""
        address = self._message.address
        place = {"channel": address["channel"], "thread_ts": address["thread_ts"]}
        # In a channel, a stream that was lost would look like one that somebody else's answer has just begun.
        streaming = address["direct"] and address["thread_ts"] is not None
        method = "chat.startStream" if streaming else "chat.postMessage"
        if not self._tools.budget.take(address.get("workspace"), method):
            return None
        self.draft = Draft("", streaming)
        if not await self._tools.notes.keep(self._message, self.draft.note(), while_open=True):
            self.draft = None
            return None
        begun = {} if streaming else {"text": _BEGUN, "metadata": begun_metadata(self._message)}
        try:
            opened = await self._call(method, **place, **begun, counted=True)
        except DeputyError as error:
            if not isinstance(error, UnclearError):  # nothing was begun
                self.draft = None
                await self._tools.notes.keep(self._message, None, while_open=True)
            raise
        assert opened is not None
        draft = self.draft = Draft(str(opened["ts"]), streaming, sent="")
        if await self._tools.notes.keep(self._message, draft.note(), while_open=True):
            return draft
        self.draft = None
        await withdraw(await self._open_client(), self._message, draft)
        return None

    async def _append(self, draft: Draft, text: str) -> None:
        self.draft = replace(draft, sent=None)  # until Slack has said that it has this piece
        piece = text[len(draft.sent or "") :]
        try:
            done = await self._call("chat.appendStream", **self._post(draft), markdown_text=piece)
        except StreamIsOverError:
            await self._note(replace(draft, streaming=False))
        else:
            self.draft = draft if done is None else replace(draft, sent=text)

    async def _change(self, draft: Draft, words: str, text: str) -> None:
        blocks = [{"type": "markdown", "text": text}]
        await self._call("chat.update", **self._post(draft), text=escaped(words)[:MAX_POST_LENGTH], blocks=blocks)

    async def _stop_stream(self, draft: Draft) -> Draft:
        with suppress(StreamIsOverError):
            await stop_stream(await self._open_client(), self._message, draft)
        return await self._note(replace(draft, streaming=False))

    async def _note(self, draft: Draft) -> Draft:
        self.draft = draft
        await self._tools.notes.keep(self._message, draft.note(), while_open=True)
        return draft

    def _post(self, draft: Draft) -> dict[str, Any]:
        return {"channel": self._message.address["channel"], "ts": draft.ts}

    async def _call(self, method: str, *, counted: bool = False, **arguments: Any) -> Mapping[str, Any] | None:
        """Call a method and return its answer; None if that has to wait.

        Args:
            method: The method.
            counted: Whether the call counts already.
            arguments: The method's arguments.
        """
        workspace = self._message.address.get("workspace")
        if not counted and not self._tools.budget.take(workspace, method):
            return None
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            with _in_our_words():
                answer = await (await self._open_client()).api_call(method, json=given)
        except UnavailableError as error:
            self._tools.budget.rest(workspace, method, error.retry_after)
            raise
        assert isinstance(answer.data, dict)
        return answer.data


async def stop_stream(client: AsyncWebClient, message: StoredMessage, draft: Draft, **last: Any) -> None:
    """End a stream.

    Args:
        client: The client of the workspace's bot.
        message: The person's message.
        draft: The message that is streamed.
        last: Its last part, as ``chat.stopStream`` takes it.

    Raises:
        StreamIsOverError: It has ended already.
        UnavailableError: Slack refuses it for now.
        UndeliverableError: Slack refuses it permanently.
    """
    with _in_our_words():
        await client.chat_stopStream(channel=message.address["channel"], ts=draft.ts, **last)


async def withdraw(client: AsyncWebClient, message: StoredMessage, draft: Draft) -> None:
    """Delete a draft; if Slack refuses that permanently, log it and leave the draft there.

    Raises:
        UnclearError: Slack did not answer, or reported an internal error.
        UnavailableError: Slack refuses it for now.
    """
    try:
        if draft.streaming:
            with suppress(StreamIsOverError):
                await stop_stream(client, message, draft)
        with _in_our_words():
            await client.chat_delete(channel=message.address["channel"], ts=draft.ts)
    except UndeliverableError as error:
        if error.reason != IS_DELETED:
            log.warning("message %s: what was written of its answer stays: %s", message.message_id, error)


@contextmanager
def _in_our_words() -> Iterator[None]:
    with in_our_words():
        try:
            yield
        except SlackApiError as error:
            if reason_of(error) in _STREAM_IS_OVER:
                raise StreamIsOverError from None
            raise
