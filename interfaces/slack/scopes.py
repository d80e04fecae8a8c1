"""The bot scopes that the app needs, and those that a workspace has granted (https://docs.slack.dev/reference/scopes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

BOT_SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "im:history",
    "im:write",
    "users:read",
)
EMAIL_SCOPE = "users:read.email"  # where people are identified by their addresses
_GRANTED_HEADER = "x-oauth-scopes"


def needed_scopes(*, by_address: bool) -> tuple[str, ...]:
    """Return the bot scopes that the app needs.

    Args:
        by_address: Whether people are identified by the addresses that Slack has confirmed.
    """
    return (*BOT_SCOPES, EMAIL_SCOPE) if by_address else BOT_SCOPES


async def granted_scopes(client: AsyncWebClient) -> frozenset[str]:
    """Ask Slack for the scopes of a client's token, which every answer names in a header.

    Raises:
        SlackApiError: Slack refuses the token.
        aiohttp.ClientError: There was no answer.
    """
    answer = await client.auth_test()
    headers = {str(name).lower(): str(value) for name, value in (answer.headers or {}).items()}
    return frozenset(filter(None, map(str.strip, headers.get(_GRANTED_HEADER, "").split(","))))
