"""Posts answers to Slack."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError

from app.errors import UndeliverableError
from app.messages import Attachment, StoredMessage
from app.reply import ReplyContent
from interfaces.slack.blocks import Block, blocks_of
from interfaces.slack.copies import EVENT_TYPE, CopyFinder, Where
from interfaces.slack.direct import open_direct_chat
from interfaces.slack.files import fetch_file
from interfaces.slack.formatting import MAX_MARKDOWN_LENGTH, MAX_POST_LENGTH, escaped, posts
from interfaces.slack.http import SlackHttp
from interfaces.slack.installations import BotTokens
from interfaces.slack.refusals import ClosedPlaceError, in_our_words, reason_of
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

_CLOCKS_DIFFER_SECONDS = 300.0  # between our clock and Slack's, at most
_PUBLIC_LINES_AT_MOST = 10_000  # remembered
# The part numbers of the public lines; an answer's posts are 0, 1, 2, …
_TOLD_DIRECTLY, _NOT_TOLD = -1, -2
_BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})


@dataclass(frozen=True, slots=True)
class _Part:
    """One post: its text, escaped for Slack, and its blocks, which are shown instead if there are any."""

    text: str = field(repr=False)
    blocks: Sequence[Block] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply that is being sent; lives as long as one attempt.

    Attributes:
        parts: The posts by number.
        again: Whether an earlier attempt may have succeeded.
    """

    message: StoredMessage
    reply_id: str
    parts: Mapping[int, _Part] = field(repr=False)
    again: bool


class SlackChannel:
    """Posts answers with the bot token of the workspace that the message came from; lives as long as the process.

    It holds no personal data and no token: each answer is posted with a new client. The address of a Slack
    message is ``{"channel": "D…" | "C…" | "G…", "thread_ts": str | None, "direct": bool, "workspace": "T…" | "E…"}``.

    Args:
        bot_tokens: Knows the bot tokens.
        api_base_url: Where Slack's Web API is; ends with a slash.
        http: Keeps the connections.
        copies: Finds earlier posts of a reply; by default a new one for this object.
    """

    def __init__(
        self, bot_tokens: BotTokens, api_base_url: str, http: SlackHttp, copies: CopyFinder | None = None
    ) -> None:
        self._bot_tokens = bot_tokens
        self._api_base_url = api_base_url
        self._http = http
        self._copies = copies or CopyFinder()
        self._sessions = SlackSessions()
        self._public_lines: OrderedDict[tuple[str, int], None] = OrderedDict()

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Post the answer where the message came from; a private one goes to the sender's direct chat.

        The thread then gets one line that says so, once per message. If the bot cannot write in the channel or thread,
        the answer goes to the direct chat as well. A reply with buttons is shown verbatim, without any markup: a person
        who approves something must see every ``~`` and ``_`` in it.

        Each post carries the reply's id as metadata, so that a later attempt posts only what is missing.

        Raises:
            UnclearError: Slack did not answer, or reported an internal error.
            UnavailableError: Slack refuses it for now.
            UndeliverableError: Slack refuses it permanently, or the app was removed; if only the direct chat is
                refused, the thread says so.
        """
        texts = posts(_with_files_named(content), MAX_POST_LENGTH if content.buttons else MAX_MARKDOWN_LENGTH)
        blocks = blocks_of(content, texts, message.principal.user)
        parts = {number: _Part(escaped(text), blocks[number]) for number, text in enumerate(texts)}
        here, reply = _where(message), _Reply(message, reply_id, parts, again)
        with in_our_words():
            client = await self._client(message)
            if private and self.is_group(message):
                await self._post_privately(client, here, reply)
            else:
                await self._post_here(client, here, reply)
            self._copies.forget(reply_id)

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Delete all posts of a reply except its first copy, including those from other processes.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        with in_our_words():
            client = await self._client(message)
            places = [_where(message)]
            if self.is_group(message):
                places.append(await self._direct_chat(client, message))
            for where in places:
                copies = self._copies.of(reply_id, where, since=_since(message))
                await self._copies.look(client, reply_id, where, copies)
                await self._copies.keep_first(client, where, copies)
            self._copies.forget(reply_id)

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Show in the message's thread that the assistant is working, with a Stop button.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        if self._sessions.has_one(message):
            await self._sessions.begin(await self._client(message), message)

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

    async def _post_here(self, client: AsyncWebClient, here: Where, reply: _Reply) -> None:
        """Post where the message came from, or in the direct chat if the bot cannot write there."""
        try:
            await self._post(client, here, reply)
        except ClosedPlaceError as error:
            if here.thread_ts is None:  # this is the direct chat
                raise
            log.warning("message %s: answered in the direct chat: %s", reply.message.message_id, error)
            await self._post(client, await self._direct_chat(client, reply.message), reply)

    async def _post_privately(self, client: AsyncWebClient, here: Where, reply: _Reply) -> None:
        try:
            await self._post(client, await self._direct_chat(client, reply.message), reply)
        except UndeliverableError:
            await self._say_publicly(client, here, reply, _NOT_TOLD, CANNOT_WRITE_DIRECTLY)
            raise
        await self._say_publicly(client, here, reply, _TOLD_DIRECTLY, ANSWERED_DIRECTLY)

    async def _say_publicly(self, client: AsyncWebClient, here: Where, reply: _Reply, number: int, line: str) -> None:
        """Post a line that everybody may read, once per message; skip it if Slack refuses permanently."""
        said = (reply.message.message_id, number)
        if said in self._public_lines:
            return
        try:
            part = _Part(f"<@{reply.message.principal.user}> {escaped(line)}")
            await self._post(client, here, replace(reply, parts={number: part}))
        except UndeliverableError as error:
            log.warning("message %s: no public line, because Slack says %s", reply.message.message_id, error.reason)
            return
        self._public_lines[said] = None
        if len(self._public_lines) > _PUBLIC_LINES_AT_MOST:
            self._public_lines.popitem(last=False)

    async def _post(self, client: AsyncWebClient, where: Where, reply: _Reply) -> None:
        """Post the parts of a reply that are not there yet, and leave one copy of each."""
        with in_our_words():
            copies = self._copies.of(reply.reply_id, where, since=_since(reply.message))
            if reply.again:
                await self._copies.look(client, reply.reply_id, where, copies)
            missing = {number: part for number, part in reply.parts.items() if not copies.found[number]}
            for number, part in missing.items():
                copies.found[number].add(await _post(client, where, part, reply.reply_id, number))
            if reply.again:
                if missing:  # another process may have posted since the look
                    await self._copies.look(client, reply.reply_id, where, copies)
                await self._copies.keep_first(client, where, copies)


async def _post(client: AsyncWebClient, where: Where, part: _Part, reply_id: str, number: int) -> str:
    """Post one part, visible to everybody there; return its timestamp. If Slack refuses its blocks, post its text."""
    try:
        posted = await client.chat_postMessage(
            channel=where.channel,
            thread_ts=where.thread_ts,
            text=part.text,
            blocks=part.blocks or None,
            mrkdwn=False,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"reply_id": reply_id, "part": number}},
        )
    except SlackApiError as error:
        if not part.blocks or reason_of(error) not in _BLOCKS_REFUSED:
            raise
        log.warning("reply %s: Slack refuses its blocks (%s), so its text is posted", reply_id, reason_of(error))
        return await _post(client, where, replace(part, blocks=()), reply_id, number)
    return str(posted.get("ts"))


def _with_files_named(content: ReplyContent) -> str:
    """Return the text of a reply; its files are named, because no upload to Slack can be found again after a crash."""
    named = ", ".join(file.name for file in content.files)
    return f"{content.text}\n\n(I cannot send files in Slack: {named})" if named else content.text


def _where(message: StoredMessage) -> Where:
    """Return the place that a message came from."""
    return Where(message.address.get("workspace"), message.address["channel"], message.address["thread_ts"])


def _since(message: StoredMessage) -> float:
    """Return the earliest time when the message's answer can have been posted, on Slack's clock."""
    return message.created_at - _CLOCKS_DIFFER_SECONDS
