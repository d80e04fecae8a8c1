"""The App Home: a person's own connections (https://docs.slack.dev/surfaces/app-home)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.grants.accounts import Account, Accounts
from app.principal import Principal
from app.reply import Button, ButtonStyle
from interfaces.slack.blocks import Block, buttons_of
from interfaces.slack.installations import BotTokens
from interfaces.slack.refusals import in_our_words
from interfaces.slack.web_api import new_client

log = logging.getLogger(__name__)

_ACCOUNTS_AT_MOST = 40  # of a view's 100 blocks
_TIMEOUT_SECONDS = 10
_CONNECT = Button("Connect Google", command="connect google", style=ButtonStyle.PRIMARY)
_CONNECT_MORE = Button("Connect another account", command="connect google")
_DISCONNECT = Button("Disconnect Google", command="disconnect google", style=ButtonStyle.DANGER)


class SlackHome:
    """Publishes people's App Home; lives as long as the process and holds nothing of theirs.

    Args:
        accounts: Knows the Google accounts that people have connected.
        bot_tokens: Knows the bot tokens.
        api_base_url: Where Slack's Web API is; ends with a slash.
    """

    def __init__(self, accounts: Accounts, bot_tokens: BotTokens, api_base_url: str) -> None:
        self._accounts = accounts
        self._bot_tokens = bot_tokens
        self._api_base_url = api_base_url

    async def publish(self, principal: Principal, workspace: str) -> None:
        """Show this person their connections; https://docs.slack.dev/reference/methods/views.publish.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        token = await self._bot_tokens.bot_token(workspace)
        if token is None:
            return
        blocks = home_of(principal.user, await self._accounts.list(principal))
        client = new_client(token, self._api_base_url, timeout_seconds=_TIMEOUT_SECONDS)
        with in_our_words():
            await client.views_publish(user_id=principal.user, view={"type": "home", "blocks": blocks})


def home_of(user: str, accounts: Sequence[Account]) -> list[Block]:
    """Return the blocks of a person's App Home."""
    header = {"type": "header", "text": _plain("Your connections")}
    if not accounts:
        return [header, _section("You have no account connected. Nobody else sees this page."), _row(user, _CONNECT)]
    shown = [_section(_line(account)) for account in accounts[:_ACCOUNTS_AT_MOST]]
    return [header, *shown, _row(user, _CONNECT_MORE, _DISCONNECT)]


def _row(user: str, *buttons: Button) -> Block:
    return buttons_of(buttons, user)


def _line(account: Account) -> str:
    return f"Google: {account.email} ({account.alias}{', default' if account.is_default else ''})"


def _section(text: str) -> Block:
    return {"type": "section", "text": _plain(text)}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}
