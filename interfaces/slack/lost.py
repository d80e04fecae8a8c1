"""Posts that were begun for an answer, and whose timestamps nobody noted because a process died just then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.messages import StoredMessage

BEGUN_TYPE = "deputy_begun"


def begun_metadata(message: StoredMessage) -> dict[str, Any]:
    """Return the metadata of a post that is begun for an answer."""
    return {"event_type": BEGUN_TYPE, "event_payload": {"message_id": message.message_id}}


def begun_on(page: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield the timestamp of each post on a page that was begun for an answer, and the id of the person's message.

    A stream takes no metadata when it is begun, so it is known by having no text; its id is None.
    """
    for post in page["messages"]:
        metadata: Mapping[str, Any] = post.get("metadata") or {}
        payload: Mapping[str, Any] = metadata.get("event_payload") or {}
        if metadata.get("event_type") == BEGUN_TYPE:
            yield str(post["ts"]), str(payload.get("message_id"))
        elif post.get("bot_id") and not any(post.get(key) for key in ("text", "metadata", "files", "blocks")):
            yield str(post["ts"]), None
