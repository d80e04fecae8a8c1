"""People's addresses as Slack has verified them (https://docs.slack.dev/reference/methods/users.info)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError

from app.allow_list import AllowList
from app.errors import UnavailableError
from app.principal import Principal
from interfaces.slack.installations import BotTokens
from interfaces.slack.web_api import new_client, no_answer

_NOT_FULL_MEMBERS = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")


class SlackDirectory:
    """Asks Slack for addresses, with the scopes users:read and users:read.email; lives as long as the process.

    Args:
        bot_tokens: Provides the token to ask with: that of the place where the person belongs.
        allow_list: The places that are trusted to confirm addresses.
        api_base_url: Where Slack's Web API is; ends with a slash.
    """

    def __init__(self, bot_tokens: BotTokens, allow_list: AllowList, api_base_url: str) -> None:
        self._bot_tokens = bot_tokens
        self._allow_list = allow_list
        self._api_base_url = api_base_url

    async def find_email(self, principal: Principal) -> str | None:
        """Return the confirmed address of a full member of the bot's own workspace or organisation, or None.

        Addresses that another company confirms (Slack Connect) and guests' addresses are not accepted. If an
        organisation has not installed the app as a whole, the workspaces that have are asked one by one.

        Raises:
            UnavailableError: Slack did not answer, or the app may not ask.
        """
        for token in await self._bot_tokens.tokens_of(principal.tenant):
            email = await self._ask(token, principal)
            if email is not None:
                return email
        return None

    async def _ask(self, token: str, principal: Principal) -> str | None:
        client = new_client(token, self._api_base_url)
        try:
            own = (await client.auth_test()).data
            user = (await client.users_info(user=principal.user)).data
        except SlackApiError as error:
            reason = str(error.response.get("error"))
            if reason in ("user_not_found", "user_not_visible"):
                return None
            raise UnavailableError(f"Slack gives no addresses ({reason}); the app needs users:read.email") from None
        except no_answer() as error:
            raise UnavailableError(f"Slack did not answer ({type(error).__name__})") from None
        assert isinstance(own, dict)
        assert isinstance(user, dict)
        found = user.get("user") or {}
        if not (self._allow_list.admits(*_places(own)) and self._allow_list.admits(*_places(found))):
            return None
        return confirmed_address(principal, found, own)


def _places(place: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the workspaces and the organisation that a person or a bot belongs to."""
    in_organisation = place.get("enterprise_user") or {}
    teams = in_organisation.get("teams") or ()
    return (place.get("team_id"), place.get("enterprise_id"), in_organisation.get("enterprise_id"), *teams)


def confirmed_address(principal: Principal, user: dict[str, Any], own: dict[str, Any]) -> str | None:
    """Return the address in a user object if it is confirmed and this person's, and they belong where the bot does.

    Args:
        principal: The person.
        user: Their user object, from ``users.info``.
        own: The answer of ``auth.test`` about the bot.
    """
    team, organisation = own.get("team_id"), own.get("enterprise_id")
    their_organisation = (user.get("enterprise_user") or {}).get("enterprise_id")
    ours = bool(team) and user.get("team_id") == team
    ours = ours or (bool(organisation) and their_organisation == organisation)
    if not ours or principal.tenant not in (team, organisation) or user.get("id") != principal.user:
        return None
    if any(user.get(kind) for kind in _NOT_FULL_MEMBERS) or user.get("is_email_confirmed") is not True:
        return None
    email = (user.get("profile") or {}).get("email")
    return email if isinstance(email, str) and email else None
