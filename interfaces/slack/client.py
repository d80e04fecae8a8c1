"""Posts answers to Slack."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from app.delivery.store.notes import ChannelNotes
from app.errors import UndeliverableError
from app.messages import Attachment, StoredMessage
from app.reply import ReplyContent
from interfaces.slack.answers import SlackAnswers
from interfaces.slack.blocks import blocks_of
from interfaces.slack.copies import CopyFinder, Where
from interfaces.slack.direct import open_direct_chat
from interfaces.slack.drafts import AnswerBeingWritten
from interfaces.slack.files import fetch_file
from interfaces.slack.formatting import MAX_MARKDOWN_LENGTH, MAX_POST_LENGTH, escaped, posts
from interfaces.slack.http import SlackHttp
from interfaces.slack.installations import BotTokens
from interfaces.slack.post import PostPart
from interfaces.slack.posting import ReplyAttempt, ReplyPosting, where_of
from interfaces.slack.refusals import ClosedPlaceError, in_our_words
from interfaces.slack.sessions import SlackSessions
from interfaces.slack.web_api import new_client

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

ANSWERED_DIRECTLY = "I've sent you a direct message."
CANNOT_WRITE_DIRECTLY = (
    "I have a private answer for you, but Slack does not let me send you a direct message. Open a chat with me (click "
    "my name, then Messages) and ask me there."
)
AT_WORK = "_I'm {}…_"
AT_WORK_IN_THREAD = "is {}…"  # after the app's name

_PUBLIC_LINES_AT_MOST = 10_000  # remembered
_TOLD_DIRECTLY, _NOT_TOLD = -1, -2  # the part numbers of the public lines; an answer's posts are 0, 1, 2, …


class SlackChannel:
    """Posts answers with the bot token of the workspace that the message came from; lives as long as the process.

    It holds no token, and no words but those of answers that are being written. Each answer is posted with a new
    client, over shared connections. The address of a Slack message is ``{"channel": "D…" | "C…" | "G…", "thread_ts":
    str | None, "direct": bool, "workspace": "T…" | "E…"}``.

    Args:
        bot_tokens: Knows the bot tokens.
        api_base_url: Where Slack's Web API is; ends with a slash.
        http: Keeps the connections.
        notes: Where it is noted what has been shown of a reply.
        answers: Shows answers while they are written.
        copies: Finds earlier posts of a reply; by default a new one for this object.
    """

    def __init__(
        self,
        bot_tokens: BotTokens,
        api_base_url: str,
        http: SlackHttp,
        notes: ChannelNotes,
        answers: SlackAnswers,
        copies: CopyFinder | None = None,
    ) -> None:
        self._bot_tokens = bot_tokens
        self._notes = notes
        self._answers = answers
        self._api_base_url = api_base_url
        self._http = http
        self._posting = ReplyPosting(notes, answers, copies or CopyFinder())
        self._sessions = SlackSessions()
        self._public_lines: OrderedDict[tuple[str, int], set[str]] = OrderedDict()  # their timestamps

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Post the answer where the message came from; a private one goes to the sender's direct chat.

        The thread then gets one line that says so, once per message. If the bot cannot write in the channel or thread,
        the answer goes to the direct chat as well. A reply with buttons is shown verbatim, without any markup: a person
        who approves something must see every ``~`` and ``_`` in it.

        Each post carries the reply's id as metadata, so that a later attempt posts only what is missing. If the answer
        was shown while it was written, that message becomes its first post.

        Raises:
            UnclearError: Slack did not answer, or reported an internal error.
            UnavailableError: Slack refuses it for now.
            UndeliverableError: Slack refuses it permanently, or the app was removed; if only the direct chat is
                refused, the thread says so.
        """
        texts = posts(content.text, MAX_POST_LENGTH if content.buttons else MAX_MARKDOWN_LENGTH)
        blocks = blocks_of(content, texts, message.principal.user)
        parts = {number: PostPart(escaped(text), blocks[number]) for number, text in enumerate(texts)}
        notes = dict(message.notes or {})
        here, reply = where_of(message), ReplyAttempt(message, reply_id, parts, again, content.files, notes)
        with in_our_words():
            client = await self._client(message)
            if private and self.is_group(message):
                await self._post_privately(client, here, reply)
            else:
                await self._post_here(client, here, reply)
            self._posting.forget(reply_id)
            if reply.notes:
                await self._notes.keep(message, None, while_open=False)

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Delete all posts of a reply except its first copy, including those from other processes.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        with in_our_words():
            client = await self._client(message)
            places = [where_of(message)]
            if self.is_group(message):
                places.append(await self._direct_chat(client, message))
            await self._posting.keep_one(client, places, message, reply_id)

    def follow(self, message: StoredMessage) -> AnswerBeingWritten:
        """Return what shows the answer while it is written, where the message came from."""
        return self._answers.follow(message, partial(self._client, message))

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Show in the message's thread that the assistant is working, with a Stop button, and on what.

        At the top of a direct chat, where Slack has no sign, a message says what is being done and becomes the answer.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        if self._sessions.has_one(message):
            client = await self._client(message)
            await self._sessions.begin(client, message)
            if doing is not None:
                await self._sessions.explain(client, message, AT_WORK_IN_THREAD.format(doing))
        elif doing is not None:
            self._answers.show_work(message, AT_WORK.format(doing))

    async def show_idle(self, message: StoredMessage) -> None:
        """Take that sign away.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        if self._sessions.has_one(message):
            await self._sessions.end(await self._client(message), message)

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Return the contents of a file that came with a message.

        Raises:
            AttachmentTooLargeError: It exceeds the limit.
            AttachmentGoneError: Slack does not have it any more, or does not give it to the assistant.
            UnavailableError: Slack does not give it for now.
        """
        return await fetch_file(await self._client(message), attachment.reference, limit=limit)

    def is_group(self, message: StoredMessage) -> bool:
        """Return whether the message was written anywhere but in a direct chat."""
        return not message.address["direct"]

    async def _client(self, message: StoredMessage) -> AsyncWebClient:
        token = await self._bot_tokens.bot_token(message.address.get("workspace"))
        if token is None:
            raise UndeliverableError("the app was removed from the workspace", reason="not_installed")
        # The client's own handlers would post again after a broken connection, without looking first.
        return new_client(token, self._api_base_url, retries=False, session=self._http.session)

    async def _direct_chat(self, client: AsyncWebClient, message: StoredMessage) -> Where:
        channel = await open_direct_chat(client, message.principal.user)
        return Where(message.address.get("workspace"), channel, None)

    async def _post_here(self, client: AsyncWebClient, here: Where, reply: ReplyAttempt) -> None:
        """Post where the message came from, or in the direct chat if the bot cannot write there."""
        try:
            await self._posting.post(client, here, reply)
        except ClosedPlaceError as error:
            if here.thread_ts is None:  # this is the direct chat
                raise
            log.warning("message %s: answered in the direct chat: %s", reply.message.message_id, error)
            await self._posting.post(client, await self._direct_chat(client, reply.message), reply)

    async def _post_privately(self, client: AsyncWebClient, here: Where, reply: ReplyAttempt) -> None:
        try:
            await self._posting.post(client, await self._direct_chat(client, reply.message), reply)
        except UndeliverableError:
            await self._say_publicly(client, here, reply, _NOT_TOLD, CANNOT_WRITE_DIRECTLY)
            raise
        await self._say_publicly(client, here, reply, _TOLD_DIRECTLY, ANSWERED_DIRECTLY)

    async def _say_publicly(
        self, client: AsyncWebClient, here: Where, reply: ReplyAttempt, number: int, line: str
    ) -> None:
        """Post a line that everybody may read, once per message; skip it if Slack refuses permanently."""
        said = (reply.message.message_id, number)
        if (lines := self._public_lines.get(said)) is not None:
            await self._posting.drop_written(client, here, reply, besides=lines)
            return
        try:
            part = PostPart(f"<@{reply.message.principal.user}> {escaped(line)}")
            posted = await self._posting.post(client, here, replace(reply, parts={number: part}, files=()))
        except UndeliverableError as error:
            log.warning("message %s: no public line, because Slack says %s", reply.message.message_id, error.reason)
            return
        self._public_lines[said] = posted[number]
        if len(self._public_lines) > _PUBLIC_LINES_AT_MOST:
            self._public_lines.popitem(last=False)
