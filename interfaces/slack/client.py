"""The way back to Slack."""

from __future__ import annotations

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from app.errors import UnavailableError
from app.messages import StoredMessage
from interfaces.slack.formatting import posts


def open_client(bot_token: str, api_base_url: str) -> AsyncWebClient:
    """A client of Slack's Web API; does no I/O yet.

    Args:
        bot_token: "xoxb-…".
        api_base_url: Ends with a slash.
    """
    return AsyncWebClient(token=bot_token, base_url=api_base_url)


class SlackChannel:
    """Posts answers with the bot's token; lives as long as the process and holds nothing of a person's.

    The address of a Slack message is ``{"channel": "D…" | "C…" | "G…", "thread_ts": str | None, "direct": bool}``.
    """

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def send(self, message: StoredMessage, text: str, *, private: bool) -> None:
        """Post the answer; where others read along, a private one is shown to the sender alone.

        Raises:
            UnavailableError: Slack did not take it.
        """
        channel, thread = message.address["channel"], message.address["thread_ts"]
        try:
            for post in posts(text):
                if private and not message.address["direct"]:
                    await self._client.chat_postEphemeral(
                        channel=channel, user=message.principal.user, thread_ts=thread, text=post
                    )
                else:
                    await self._client.chat_postMessage(
                        channel=channel, thread_ts=thread, text=post, unfurl_links=False, unfurl_media=False
                    )
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
            # The error's own text may quote what was posted.
            raise UnavailableError(f"Slack did not take the answer ({type(error).__name__})") from None

    def is_group(self, message: StoredMessage) -> bool:
        """Whether it was written anywhere but in a direct chat."""
        return not message.address["direct"]
