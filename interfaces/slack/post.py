"""One post of a reply, and posting it (https://docs.slack.dev/reference/methods/chat.postMessage)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from interfaces.slack.blocks import Block
from interfaces.slack.copies import EVENT_TYPE, Where
from interfaces.slack.refusals import reason_of

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})


@dataclass(frozen=True, slots=True)
class PostPart:
    """One post: its text, escaped for Slack, and its blocks, which are shown instead if there are any."""

    text: str = field(repr=False)
    blocks: Sequence[Block] = field(default=(), repr=False)

    @property
    def markdown(self) -> str | None:
        """Return the Markdown that the post consists of; None if it consists of anything else."""
        if len(self.blocks) != 1 or self.blocks[0]["type"] != "markdown":
            return None
        return str(self.blocks[0]["text"])


def metadata_of(reply_id: str, number: int) -> Mapping[str, Any]:
    """Return the metadata by which a part of a reply is found again."""
    return {"event_type": EVENT_TYPE, "event_payload": {"reply_id": reply_id, "part": number}}


async def post_part(client: AsyncWebClient, where: Where, part: PostPart, reply_id: str, number: int) -> str:
    """Post one part, visible to everybody there; return its timestamp. If Slack refuses its blocks, post its text.

    Raises:
        SlackApiError: Slack refuses it.
    """
    try:
        posted = await client.chat_postMessage(
            channel=where.channel,
            thread_ts=where.thread_ts,
            text=part.text,
            blocks=part.blocks or None,
            mrkdwn=False,
            unfurl_links=False,
            unfurl_media=False,
            metadata=dict(metadata_of(reply_id, number)),
        )
    except SlackApiError as error:
        if not part.blocks or reason_of(error) not in BLOCKS_REFUSED:
            raise
        log.warning("reply %s: Slack refuses its blocks (%s), so its text is posted", reply_id, reason_of(error))
        return await post_part(client, where, replace(part, blocks=()), reply_id, number)
    return str(posted.get("ts"))
