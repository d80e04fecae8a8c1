"""The way back to Slack."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
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
        token = await self._bot_tokens.bot_token(message.address.get("workspace"))
        if token is None:
            raise UnavailableError("the app is not installed any more where the message came from")
        # By itself it would post again what a broken connection leaves open, without a look.
        client = AsyncWebClient(token=token, base_url=self._api_base_url, retry_handlers=[])
        channel, thread = message.address["channel"], message.address["thread_ts"]
        alone = private and not message.address["direct"]
        try:
            arrived = await _find_sent(client, message, reply_id) if again and not alone else frozenset[int]()
            for number, post in enumerate(posts(text)):
                if alone:  # here Slack's markup cannot be switched off, but in a block
                    await client.chat_postEphemeral(
                        channel=channel,
                        user=message.principal.user,
                        thread_ts=thread,
                        text=escaped(post),
                        blocks=[exactly(post)],
                    )
                elif number not in arrived:
                    await client.chat_postMessage(
                        channel=channel,
                        thread_ts=thread,
                        text=escaped(post),
                        mrkdwn=False,
                        unfurl_links=False,
                        unfurl_media=False,
                        metadata={"event_type": _EVENT_TYPE, "event_payload": {"reply_id": reply_id, "part": number}},
                    )
        # An error's own text may quote what was posted.
        except SlackApiError as error:
            refused = error.response.status_code < _SERVER_ERROR
            kind = UnavailableError if refused else UnclearError
            raise kind(f"Slack did not take the answer (HTTP {error.response.status_code})") from None
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
            raise UnclearError(f"Slack did not say whether it took the answer ({type(error).__name__})") from None

    def is_group(self, message: StoredMessage) -> bool:
        """Whether it was written anywhere but in a direct chat."""
        return not message.address["direct"]


async def _find_sent(client: AsyncWebClient, message: StoredMessage, reply_id: str) -> frozenset[int]:
    """Which parts of a reply are in the conversation already: https://docs.slack.dev/messaging/message-metadata."""
    thread = message.address["thread_ts"]
    where = {"channel": message.address["channel"], **({"ts": thread} if thread else {})}
    look = client.conversations_replies if thread else client.conversations_history
    found: set[int] = set()
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
        found |= set(sent_parts(page.data, reply_id))
        if not (cursor := (page.data.get("response_metadata") or {}).get("next_cursor", "")):
            break
    return frozenset(found)


def sent_parts(page: Mapping[str, Any], reply_id: str) -> Iterator[int]:
    """The numbers of the parts of a reply that are on a page of a conversation."""
    for post in page["messages"]:
        metadata: Mapping[str, Any] = post.get("metadata") or {}
        payload: Mapping[str, Any] = metadata.get("event_payload") or {}
        if metadata.get("event_type") == _EVENT_TYPE and payload.get("reply_id") == reply_id:
            yield int(payload["part"])
