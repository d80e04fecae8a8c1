"""Installing the app in a workspace, by Slack's OAuth (https://docs.slack.dev/authentication/installing-with-oauth)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from slack_sdk.errors import SlackApiError

from app.allow_list import AllowList
from app.database.database import Database
from app.database.tables import slack_installs_begun as table
from app.errors import CallbackRefusedError, UnavailableError
from interfaces.slack.installations import Installation, Installations
from interfaces.slack.scopes import needed_scopes
from interfaces.slack.web_api import new_client, no_answer

log = logging.getLogger(__name__)

INSTALL_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Begun:
    """An installation that has begun: the URL at Slack to continue at, and the secrets that the browser keeps."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    cookie: str = field(repr=False)


class Installing:
    """Sends browsers to Slack and handles their callbacks; lives as long as the process and keeps neither.

    Args:
        api_base_url: Where Slack's Web API is; ends with a slash.
        authorize_url: Slack's page that asks whether to install.
        redirect_uri: The exact URL to which Slack sends the browser back.
        allow_list: The places that may install the app.
        by_address: Whether people are identified by confirmed addresses, so that the app must be allowed to read them.
    """

    def __init__(
        self,
        database: Database,
        installations: Installations,
        allow_list: AllowList,
        *,
        client_id: str,
        client_secret: str,
        api_base_url: str,
        authorize_url: str,
        redirect_uri: str,
        by_address: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._installations = installations
        self._allow_list = allow_list
        self._client_id = client_id
        self._client_secret = client_secret
        self._api_base_url = api_base_url
        self._authorize_url = authorize_url
        self._redirect_uri = redirect_uri
        self._by_address = by_address
        self._now = now

    async def begin(self) -> Begun:
        """Allow this browser to install the app once, within ten minutes."""
        state, cookie = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = self._now()
        async with self._database.writing() as connection:
            await connection.execute(table.delete().where(table.c.expires_at <= now))
            await connection.execute(
                table.insert().values(
                    state_hash=_hash(state), cookie_hash=_hash(cookie), expires_at=now + INSTALL_SECONDS
                )
            )
        query = {
            "client_id": self._client_id,
            "scope": ",".join(needed_scopes(by_address=self._by_address)),
            "redirect_uri": self._redirect_uri,
            "state": state,
        }
        return Begun(f"{self._authorize_url}?{urlencode(query)}", state, cookie)

    async def refuse(self, *, state: str, cookie: str | None) -> None:
        """Handle the callback of a person who declined.

        Raises:
            CallbackRefusedError: As for `finish`.
        """
        await self._take(state, cookie)

    async def finish(self, *, state: str, cookie: str | None, code: str) -> Installation:
        """Handle the callback of a person who agreed: install the app and store its token, sealed.

        Raises:
            CallbackRefusedError: Another browser began the installation, it was used or has expired, Slack refuses the
                code, or the place is not on the list. Nothing is stored; an unlisted place's token is revoked at Slack.
            UnavailableError: Slack did not answer.
        """
        await self._take(state, cookie)
        installation, bot_token = _read(await self._exchange(code), self._now())
        if not self._allow_list.admits(installation.workspace, installation.organisation):
            log.warning(
                "an installation in %s was refused: it is not in interfaces.slack.workspaces", installation.workspace
            )
            await self._revoke(installation, bot_token)
            raise CallbackRefusedError(
                f"{installation.name} ({installation.workspace}) is not one of the workspaces that this server "
                "is for, so nothing was stored. Remove the app in Slack, or ask the administrator of the server to add "
                "the id to interfaces.slack.workspaces"
            )
        await self._installations.save(installation, bot_token)
        return installation

    async def _revoke(self, installation: Installation, bot_token: str) -> None:
        """Revoke a token that is not stored, https://docs.slack.dev/reference/methods/auth.revoke."""
        try:
            await new_client(bot_token, self._api_base_url).auth_revoke()
        except no_answer() as error:
            # Nobody has the token, and the page asks the person to remove the app.
            log.warning("the bot token of %s could not be revoked (%s)", installation.workspace, type(error).__name__)

    async def _take(self, state: str, cookie: str | None) -> None:
        mine = sa.and_(table.c.state_hash == _hash(state), table.c.expires_at > self._now())
        async with self._database.reading() as connection:
            cookie_hash = (await connection.execute(sa.select(table.c.cookie_hash).where(mine))).scalar()
        if cookie_hash is None:
            raise CallbackRefusedError(
                "this installation is unknown, was used, or has expired; begin again at /slack/install"
            )
        if cookie is None or not hmac.compare_digest(_hash(cookie), cookie_hash):
            raise CallbackRefusedError("this browser did not begin the installation; begin again at /slack/install")
        async with self._database.writing() as connection:
            if (await connection.execute(table.delete().where(mine))).rowcount != 1:
                raise CallbackRefusedError("this installation was used a moment ago; begin again at /slack/install")

    async def _exchange(self, code: str) -> Mapping[str, Any]:
        client = new_client(None, self._api_base_url)
        try:
            # Not with oauth_v2_access(), which uses a deprecated aiohttp class; not in the body, which the SDK logs.
            response = await client.api_call(
                "oauth.v2.access",
                data={"code": code, "redirect_uri": self._redirect_uri},
                headers={"Authorization": _basic(self._client_id, self._client_secret)},
            )
        except SlackApiError as error:
            reason = str(error.response.get("error", "no reason"))[:64]  # one of Slack's words, such as invalid_code
            raise CallbackRefusedError(
                f"Slack refused the installation: {reason}; begin again at /slack/install"
            ) from None
        except no_answer() as error:
            raise UnavailableError(f"Slack did not answer ({type(error).__name__}); begin again later") from None
        assert isinstance(response.data, dict)
        return response.data


def _read(granted: Mapping[str, Any], now: float) -> tuple[Installation, str]:
    """Return the installation that Slack's answer describes, and its bot token.

    Raises:
        CallbackRefusedError: The token is not a bot's, or would expire, or the answer does not name a place.
    """
    whole_organisation = granted.get("is_enterprise_install") is True
    place = granted.get("enterprise" if whole_organisation else "team") or {}
    workspace, bot_token = place.get("id"), granted.get("access_token")
    if granted.get("token_type") != "bot" or not bot_token or not workspace:
        raise CallbackRefusedError("Slack gave the assistant no bot token; check the app's bot scopes")
    if granted.get("refresh_token"):
        raise CallbackRefusedError("the app rotates its tokens; switch token rotation off in the app's settings")
    installation = Installation(
        workspace=workspace,
        organisation=(granted.get("enterprise") or {}).get("id"),
        name=str(place.get("name") or workspace),
        bot_user=str(granted.get("bot_user_id") or ""),
        bot_scopes=" ".join(sorted(str(granted.get("scope") or "").split(","))),
        installed_by=str((granted.get("authed_user") or {}).get("id") or ""),
        installed_at=now,
    )
    return installation, bot_token


def _basic(client_id: str, client_secret: str) -> str:
    return f"Basic {base64.b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"  # RFC 6749, section 2.3.1


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()  # enough for 256 random bits
