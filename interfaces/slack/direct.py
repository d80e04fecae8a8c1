"""The direct chat with a person (https://docs.slack.dev/reference/methods/conversations.open)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interfaces.slack.refusals import ClosedPlaceError, in_our_words

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient


async def open_direct_chat(client: AsyncWebClient, user: str) -> str:
    """Return the id of the direct chat with a person, "D…", which is opened if need be.

    Raises:
        UnclearError: Slack did not answer.
        UnavailableError: Slack refuses it for now.
        UndeliverableError: Slack does not let the bot write to this person.
    """
    with in_our_words():
        opened = await client.conversations_open(users=user)
    channel = (opened.get("channel") or {}).get("id")
    if not isinstance(channel, str) or not channel.startswith("D"):
        raise ClosedPlaceError("Slack opened no direct chat", reason="no_direct_chat")
    return channel
