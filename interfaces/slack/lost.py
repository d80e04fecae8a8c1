"""Messages that were begun for an answer, and whose timestamps nobody noted because a process died just then."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from app.errors import UnavailableError, UndeliverableError
from app.messages import StoredMessage
from interfaces.slack.refusals import in_our_words

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

BEGUN_TYPE = "deputy_begun"
_CLOCKS_DIFFER_SECONDS = 300.0
_PAGE_LENGTH = 200  # messages; one page is enough, because it was begun with the message's last run


def begun_metadata(message: StoredMessage) -> dict[str, Any]:
    """Return the metadata of a message that is begun for an answer."""
    return {"event_type": BEGUN_TYPE, "event_payload": {"message_id": message.message_id}}


async def find_lost(client: AsyncWebClient, message: StoredMessage, *, streaming: bool) -> list[str]:
    """Return the timestamps of messages without words that were begun for an answer; a failure is logged.

    A stream takes no metadata, so it is known by having no text.
    """
    address = message.address
    arguments: dict[str, Any] = {
        "channel": address["channel"],
        "oldest": f"{message.created_at - _CLOCKS_DIFFER_SECONDS:.6f}",
        "include_all_metadata": True,
        "limit": _PAGE_LENGTH,
    }
    method = "conversations.history"
    if address["thread_ts"] is not None:
        method, arguments = "conversations.replies", {**arguments, "ts": address["thread_ts"]}
    try:
        with in_our_words():
            page = await client.api_call(method, http_verb="GET", params=arguments)
    except (UnavailableError, UndeliverableError) as error:
        log.warning("message %s: a message without words may stay above its answer: %s", message.message_id, error)
        return []
    assert isinstance(page.data, dict)
    return [*(_empty_streams(page.data) if streaming else _begun(page.data, message.message_id))]


def _begun(page: Mapping[str, Any], message_id: str) -> Iterator[str]:
    for post in page["messages"]:
        metadata: Mapping[str, Any] = post.get("metadata") or {}
        payload: Mapping[str, Any] = metadata.get("event_payload") or {}
        if metadata.get("event_type") == BEGUN_TYPE and payload.get("message_id") == message_id:
            yield str(post["ts"])


def _empty_streams(page: Mapping[str, Any]) -> Iterator[str]:
    for post in page["messages"]:
        if post.get("bot_id") and not any(post.get(key) for key in ("text", "metadata", "files", "blocks")):
            yield str(post["ts"])
