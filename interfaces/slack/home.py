"""The App Home: a person's own connections (https://docs.slack.dev/surfaces/app-home)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from app.grants.accounts import Account, Accounts
from app.oauth.provider import Providers
from app.principal import Principal
from app.reply import Button, ButtonStyle
from interfaces.slack.blocks import Block, buttons_of
from interfaces.slack.installations import BotTokens
from interfaces.slack.refusals import in_our_words
from interfaces.slack.web_api import new_client

log = logging.getLogger(__name__)

_ACCOUNTS_AT_MOST = 40  # of a view's 100 blocks
_TIMEOUT_SECONDS = 10


class SlackHome:
    """Publishes people's App Home; lives as long as the process and holds no personal data.

    Args:
        accounts: Knows the accounts that people have connected.
        providers: Those at which accounts can be connected.
        bot_tokens: Knows the bot tokens.
        api_base_url: Where Slack's Web API is; ends with a slash.
    """

    def __init__(self, accounts: Accounts, providers: Providers, bot_tokens: BotTokens, api_base_url: str) -> None:
        self._accounts = accounts
        self._providers = providers
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
        blocks = home_of(principal.user, await self._accounts.list(principal), self._providers)
        client = new_client(token, self._api_base_url, timeout_seconds=_TIMEOUT_SECONDS)
        with in_our_words():
            await client.views_publish(user_id=principal.user, view={"type": "home", "blocks": blocks})


def home_of(user: str, accounts: Sequence[Account], providers: Providers) -> list[Block]:
    """Return the blocks of a person's App Home: their accounts, and buttons to connect and to disconnect."""
    lines = [_line(account, providers[account.provider].title) for account in accounts[:_ACCOUNTS_AT_MOST]]
    shown = map(_section, lines or ["You have no account connected. Nobody else sees this page."])
    connected = {account.provider for account in accounts}
    buttons = [button for name in providers.names for button in _buttons(name, providers, name in connected)]
    return [{"type": "header", "text": _plain("Your connections")}, *shown, buttons_of(buttons, user)]


def _buttons(name: str, providers: Providers, is_connected: bool) -> Iterator[Button]:
    """Yield the buttons for one provider."""
    title = providers[name].title
    if not is_connected:
        yield Button(f"Connect {title}", command=f"connect {name}", style=ButtonStyle.PRIMARY)
        return
    another = "another account" if len(providers.names) == 1 else f"another {title} account"
    yield Button(f"Connect {another}", command=f"connect {name}")
    yield Button(f"Disconnect {title}", command=f"disconnect {name}", style=ButtonStyle.DANGER)


def _line(account: Account, title: str) -> str:
    return f"{title}: {account.email} ({account.alias}{', default' if account.is_default else ''})"


def _section(text: str) -> Block:
    return {"type": "section", "text": _plain(text)}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}
