"""The way back to Slack."""

from __future__ import annotations

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from app.errors import UnavailableError
from app.messages import StoredMessage
from interfaces.slack.formatting import posts
from interfaces.slack.installations import BotTokens


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

    async def send(self, message: StoredMessage, text: str, *, private: bool) -> None:
        """Post the answer; where others read along, a private one is shown to the sender alone.

        Raises:
            UnavailableError: Slack did not take it, or the app is not installed there any more.
        """
        token = await self._bot_tokens.bot_token(message.address.get("workspace"))
        if token is None:
            raise UnavailableError("the app is not installed any more where the message came from")
        client = AsyncWebClient(token=token, base_url=self._api_base_url)
        channel, thread = message.address["channel"], message.address["thread_ts"]
        try:
            for post in posts(text):
                if private and not message.address["direct"]:
                    await client.chat_postEphemeral(
                        channel=channel, user=message.principal.user, thread_ts=thread, text=post
                    )
                else:
                    await client.chat_postMessage(
                        channel=channel, thread_ts=thread, text=post, unfurl_links=False, unfurl_media=False
                    )
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
            # The error's own text may quote what was posted.
            raise UnavailableError(f"Slack did not take the answer ({type(error).__name__})") from None

    def is_group(self, message: StoredMessage) -> bool:
        """Whether it was written anywhere but in a direct chat."""
        return not message.address["direct"]
