"""The way back to Slack."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from app.errors import UnavailableError, UnclearError
from app.messages import StoredMessage
from interfaces.slack.formatting import escaped, exactly, posts
from interfaces.slack.installations import BotTokens

log = logging.getLogger(__name__)

_EVENT_TYPE = "deputy_reply"
_CLOCKS_DIFFER_SECONDS = 300.0  # ours and Slack's, at most
_PAGES_AT_MOST = 20
_SERVER_ERROR = 500
_IS_DELETED = "message_not_found"
_MAY_NOT_DELETE = frozenset({"cant_delete_message", "compliance_exports_prevent_deletion"})
_MAY_NOT_LOOK = frozenset({"missing_scope", "no_permission", "not_in_channel", "not_allowed_token_type"})


class SlackChannel:
    """Posts answers with the bot token of the workspace that the message came from; lives as long as the process.

    It holds nothing of a person's, and no token: each answer is posted by a client of its own. The address of a Slack
    message is ``{"channel": "D…" | "C…" | "G…", "thread_ts": str | None, "direct": bool, "workspace": "T…" | "E…"}``.

    Args:
        bot_tokens: Knows them.
        api_base_url: Where Slack's Web API is; ends with a slash.
    """

    def __init__(self, bot_tokens: BotTokens, api_base_url: str) -> None:
        self._bot_tokens = bot_tokens
        self._api_base_url = api_base_url

    async def send(self, message: StoredMessage, text: str, *, private: bool, reply_id: str, again: bool) -> None:
        """Post the answer; where others read along, a private one is shown to the sender alone.

        It is shown as it is, without Slack's markup: what somebody approves must not lose a ``~`` or a ``_``.

        A post carries the reply's id as metadata, so when it is tried again, what arrived before is not posted twice.
        What is shown to one person alone (an ephemeral post) Slack does not keep, so that may be.

        Raises:
            UnclearError: Slack gave no answer, or that of a server with a fault of its own.
            UnavailableError: Slack did not take it, or the app is not installed there any more.
        """
        alone = private and not message.address["direct"]
        look = again and not alone
        with _in_our_words():
            client = await self._client(message)
            arrived = await _find_copies(client, message, reply_id) if look else {}
            missing = [(number, post) for number, post in enumerate(posts(text)) if number not in arrived]
            for number, post in missing:
                if alone:
                    await _show(client, message, post)
                else:
                    await _post(client, message, post, reply_id, number)
            if look:  # who tried before may have posted since the look
                await _keep_first(
                    client, message, await _find_copies(client, message, reply_id) if missing else arrived
                )

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Delete what was posted of a reply after its first copy, whoever did.

        Raises:
            UnavailableError: Slack did not do it, or did not say.
        """
        with _in_our_words():
            client = await self._client(message)
            await _keep_first(client, message, await _find_copies(client, message, reply_id))

    def is_group(self, message: StoredMessage) -> bool:
        """Whether it was written anywhere but in a direct chat."""
        return not message.address["direct"]

    async def _client(self, message: StoredMessage) -> AsyncWebClient:
        token = await self._bot_tokens.bot_token(message.address.get("workspace"))
        if token is None:
            raise UnavailableError("the app is not installed any more where the message came from")
        # By itself it would post again what a broken connection leaves open, without a look.
        return AsyncWebClient(token=token, base_url=self._api_base_url, retry_handlers=[])


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise what Slack's client does as our own error; the text of its own may quote what was posted."""
    try:
        yield
    except SlackApiError as error:
        refused = error.response.status_code < _SERVER_ERROR
        kind = UnavailableError if refused else UnclearError
        raise kind(f"Slack did not take the answer (HTTP {error.response.status_code})") from None
    except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
        raise UnclearError(f"Slack did not say whether it took the answer ({type(error).__name__})") from None


async def _post(client: AsyncWebClient, message: StoredMessage, post: str, reply_id: str, number: int) -> None:
    """Post a part for all to see who are there."""
    await client.chat_postMessage(
        channel=message.address["channel"],
        thread_ts=message.address["thread_ts"],
        text=escaped(post),
        mrkdwn=False,
        unfurl_links=False,
        unfurl_media=False,
        metadata={"event_type": _EVENT_TYPE, "event_payload": {"reply_id": reply_id, "part": number}},
    )


async def _show(client: AsyncWebClient, message: StoredMessage, post: str) -> None:
    """Show a part to the sender alone; here Slack's markup cannot be switched off, but in a block."""
    await client.chat_postEphemeral(
        channel=message.address["channel"],
        user=message.principal.user,
        thread_ts=message.address["thread_ts"],
        text=escaped(post),
        blocks=[exactly(post)],
    )


async def _find_copies(client: AsyncWebClient, message: StoredMessage, reply_id: str) -> Mapping[int, Sequence[str]]:
    """What is in the conversation of each part of a reply: https://docs.slack.dev/messaging/message-metadata.

    A post is known by its ``ts``, such as "1700000000.000001", which is its time too.
    """
    thread = message.address["thread_ts"]
    where = {"channel": message.address["channel"], **({"ts": thread} if thread else {})}
    look = client.conversations_replies if thread else client.conversations_history
    found: defaultdict[int, list[str]] = defaultdict(list)
    cursor = ""
    for _ in range(_PAGES_AT_MOST):
        try:
            page = await look(
                **where,
                oldest=f"{message.created_at - _CLOCKS_DIFFER_SECONDS:.6f}",
                include_all_metadata=True,
                limit=200,
                cursor=cursor,
            )
        except SlackApiError as error:
            if error.response.get("error") not in _MAY_NOT_LOOK:
                raise
            log.warning("message %s: may not read the conversation, so its answer may come twice", message.message_id)
            break
        assert isinstance(page.data, dict)
        for part, ts in _parts(page.data, reply_id):
            found[part].append(ts)
        if not (cursor := (page.data.get("response_metadata") or {}).get("next_cursor", "")):
            break
    return found


def _parts(page: Mapping[str, Any], reply_id: str) -> Iterator[tuple[int, str]]:
    """The parts of a reply that are on a page of a conversation: the number of each, and the post's ``ts``."""
    for post in page["messages"]:
        metadata: Mapping[str, Any] = post.get("metadata") or {}
        payload: Mapping[str, Any] = metadata.get("event_payload") or {}
        if metadata.get("event_type") == _EVENT_TYPE and payload.get("reply_id") == reply_id:
            yield int(payload["part"]), str(post["ts"])


async def _keep_first(client: AsyncWebClient, message: StoredMessage, copies: Mapping[int, Sequence[str]]) -> None:
    """Delete every copy but the first one of each part, which is the same one to whoever else does it at once."""
    for posted in copies.values():
        for ts in sorted(posted, key=float)[1:]:
            log.warning("message %s: its answer was posted twice, and is deleted once", message.message_id)
            try:  # https://docs.slack.dev/reference/methods/chat.delete
                await client.chat_delete(channel=message.address["channel"], ts=ts)
            except SlackApiError as error:
                reason = error.response.get("error")
                if reason in _MAY_NOT_DELETE:
                    log.warning("message %s: Slack does not let it be deleted (%s)", message.message_id, reason)
                elif reason != _IS_DELETED:
                    raise
