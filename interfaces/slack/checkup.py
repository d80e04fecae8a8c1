"""Asks Slack about the app: its tokens, what they may do, and whether its events arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages
from app.diagnosis import Diagnosis, fault, ok, remark
from interfaces.slack.installations import BotTokens
from interfaces.slack.scopes import granted_scopes
from interfaces.slack.web_api import new_client, no_answer

TITLE = "Slack"
_TIMEOUT_SECONDS = 10
_REINSTALL = "install the app again (its page at api.slack.com, Install App) and put the new token into the settings"
_REMEDIES: Mapping[str, str] = MappingProxyType(  # https://docs.slack.dev/reference/methods/auth.test#errors
    {
        "account_inactive": f"the bot's account was closed, as when the app was removed: {_REINSTALL}",
        "invalid_auth": f"the token is wrong or belongs to another Slack: {_REINSTALL}",
        "not_authed": f"the token is empty: {_REINSTALL}",
        "token_expired": f"the token has expired: switch token rotation off, and {_REINSTALL}",
        "token_revoked": f"the token was revoked: {_REINSTALL}",
        "not_allowed_token_type": "app_token has to be an app-level token (xapp-…) with connections:write",
    }
)
_SUBSCRIBE = (
    "look at Event Subscriptions on the app's page: the address has to be verified and app_mention and message.im "
    "subscribed; `deputy slack manifest` prints all that the app needs"
)


class SlackCheckup:
    """Examines the app at Slack with each bot token. Lives for one command.

    Args:
        tokens: The bot tokens.
        database: Where messages from Slack are kept.
        api_base_url: The address of Slack's Web API.
        needed: The bot scopes that the settings need.
        app_token: The app-level token, for Socket Mode.
    """

    def __init__(
        self,
        tokens: BotTokens,
        database: Database,
        *,
        api_base_url: str,
        needed: tuple[str, ...],
        app_token: str | None,
    ) -> None:
        self._tokens = tokens
        self._database = database
        self._api_base_url = api_base_url
        self._needed = frozenset(needed)
        self._app_token = app_token

    async def look(self) -> AsyncIterator[Diagnosis]:
        """Yield what is found: the token and its scopes, Socket Mode, and when the last message arrived."""
        tokens = await self._tokens.all_tokens()
        if not tokens:
            yield remark(
                TITLE, "no workspace has installed the app", "open /slack/install as a workspace's administrator"
            )
        for token in tokens:
            yield await self._token(token)
        if self._app_token is not None:
            yield await self._socket(self._app_token)
        yield await self._events()

    async def _token(self, token: str) -> Diagnosis:
        client = new_client(token, self._api_base_url, timeout_seconds=_TIMEOUT_SECONDS, retries=False)
        try:
            granted = await granted_scopes(client)
        except no_answer() as error:
            return _refused("the bot token", error)
        if missing := sorted(self._needed - granted):
            return fault(
                TITLE,
                f"the bot token lacks the scopes {', '.join(missing)}",
                "add them under OAuth & Permissions (or paste `deputy slack manifest`), and install the app again",
            )
        return ok(TITLE, "the bot token is accepted and has every scope that the settings need")

    async def _socket(self, app_token: str) -> Diagnosis:
        client = new_client(None, self._api_base_url, timeout_seconds=_TIMEOUT_SECONDS, retries=False)
        try:
            await client.apps_connections_open(app_token=app_token)  # an address that is used within 30 s, or never
        except no_answer() as error:
            return _refused("Socket Mode", error)
        return ok(TITLE, "Socket Mode is open for this app")

    async def _events(self) -> Diagnosis:
        last = sa.select(sa.func.max(messages.c.created_at)).where(messages.c.platform == "slack")
        async with self._database.reading() as connection:
            at = (await connection.execute(last)).scalar()
        if at is None:
            return remark(
                TITLE, "no message has arrived yet; Slack does not say what the app is subscribed to", _SUBSCRIBE
            )
        return ok(TITLE, "messages have arrived, so events are subscribed")


def _refused(what: str, error: Exception) -> Diagnosis:
    """Return the fault that Slack's error code names, or that there was no answer; a code is no secret."""
    response = getattr(error, "response", None)
    code = str(response.get("error", "")) if response is not None and hasattr(response, "get") else ""
    if not code:
        return fault(TITLE, f"Slack gave no answer ({type(error).__name__})", "look at the network and HTTPS_PROXY")
    return fault(TITLE, f"Slack refuses {what}: {code}", _REMEDIES.get(code, f"see Slack's page about {code}"))
