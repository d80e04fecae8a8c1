"""Slack's Web API by Slack's own SDK, which is imported with the first client.

With aiohttp it takes a tenth of the time that a server needs to start, and no message needs it to be acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient


def load() -> None:
    """Import the SDK, so that the first client need not; safe in a thread."""
    no_answer()
    new_client("", "")


def new_client(token: str | None, base_url: str, *, timeout_seconds: int = 30, retries: bool = True) -> AsyncWebClient:
    """Return a client of one bot token, or of nobody.

    Args:
        token: The bot token.
        base_url: Where the Web API is; ends with a slash.
        timeout_seconds: How long each call may take.
        retries: Whether the SDK's own handler may send a call once more after a broken connection.
    """
    from interfaces.slack.web_client import SlackWebClient

    client = SlackWebClient(base_url, token=token, timeout=timeout_seconds)
    if not retries:
        client.retry_handlers = []
    return client


def no_answer() -> tuple[type[Exception], ...]:
    """Return the errors that mean that Slack did not answer, for an `except` clause."""
    import aiohttp
    from slack_sdk.errors import SlackClientError

    return SlackClientError, aiohttp.ClientError, TimeoutError
