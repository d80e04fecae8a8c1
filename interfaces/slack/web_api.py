"""Clients for Slack's Web API from Slack's own SDK, which is imported with the first client.

Importing it, with aiohttp, takes a tenth of a server's start-up, and acknowledging a message does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interfaces.slack.http import CALL_SECONDS

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from slack_sdk.web.async_client import AsyncWebClient


def load() -> None:
    """Import the SDK before the first client does; thread-safe."""
    no_answer()
    new_client("", "")


def new_client(
    token: str | None,
    base_url: str,
    *,
    timeout_seconds: int = CALL_SECONDS,
    retries: bool = True,
    session: ClientSession | None = None,
) -> AsyncWebClient:
    """Return a client for one bot token, or without a token.

    Args:
        token: The bot token.
        base_url: Where the Web API is; ends with a slash.
        timeout_seconds: How long each call may take.
        retries: Whether the SDK may send a call again after a broken connection.
        session: Has the connections, and its own time-out; None for a new connection for each call.
    """
    from interfaces.slack.web_client import SlackWebClient

    client = SlackWebClient(base_url, token=token, timeout=timeout_seconds, session=session)
    if not retries:
        client.retry_handlers = []
    return client


def no_answer() -> tuple[type[Exception], ...]:
    """Return the errors that mean that Slack did not answer, for an `except` clause."""
    import aiohttp
    from slack_sdk.errors import SlackClientError

    return SlackClientError, aiohttp.ClientError, TimeoutError
