"""People's names and tenants, from Slack's user objects (https://docs.slack.dev/reference/methods/users.info)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackApiError

from app.errors import UnavailableError
from app.principal import Principal
from interfaces.slack.installations import BotTokens
from interfaces.slack.web_api import new_client, no_answer

_TIMEOUT_SECONDS = 3  # a person is waiting for a page
_NAME_SECONDS = 2  # Slack waits three seconds for an acknowledgement
_NAMES_AT_MOST = 10
_UNKNOWN = ("user_not_found", "user_not_visible")
MAX_NAME_LENGTH = 60


class SlackPeople:
    """Asks Slack about people, with the scope users:read; lives as long as the process and caches nothing.

    Args:
        bot_tokens: Provides the tokens to ask with.
        api_base_url: Where Slack's Web API is; ends with a slash.
    """

    def __init__(self, bot_tokens: BotTokens, api_base_url: str) -> None:
        self._bot_tokens = bot_tokens
        self._api_base_url = api_base_url

    async def find_name(self, principal: Principal) -> str | None:
        """Return the name that this person chose in Slack; it proves nothing.

        Raises:
            UnavailableError: Slack did not answer, or the app may not ask.
        """
        return name_of(await self._find(principal))

    async def identities(self, principal: Principal) -> tuple[Principal, ...]:
        """Return this person in all of their tenants: their organisation and its workspaces, or their workspace.

        Raises:
            UnavailableError: Slack did not answer, or the app may not ask.
        """
        tenants = tenants_of(await self._find(principal))
        return tuple(Principal("slack", tenant, principal.user) for tenant in tenants)

    async def tenants(self, workspace: str, user_id: str) -> tuple[str, ...]:
        """Return every tenant of a person, as an installation knows them; none if it does not.

        Raises:
            UnavailableError: Slack did not answer, or the app may not ask.
        """
        token = await self._bot_tokens.bot_token(workspace)
        return tenants_of(await self._ask(token, user_id)) if token is not None else ()

    async def names(self, workspace: str, user_ids: Sequence[str]) -> dict[str, str]:
        """Return people's display names by user id; only those that Slack returns within two seconds.

        Args:
            workspace: The installation to ask.
            user_ids: The people; the first ten are looked up.
        """
        token = await self._bot_tokens.bot_token(workspace)
        asked = user_ids[:_NAMES_AT_MOST] if token is not None else ()
        found = await asyncio.gather(*(self._name(str(token), user_id) for user_id in asked))
        return {user_id: name for user_id, name in zip(asked, found, strict=True) if name is not None}

    async def _name(self, token: str, user_id: str) -> str | None:
        try:
            async with asyncio.timeout(_NAME_SECONDS):
                return name_of(await self._ask(token, user_id))
        except (UnavailableError, TimeoutError):
            return None

    async def _find(self, principal: Principal) -> Mapping[str, Any]:
        """Return this person's user object; an empty one if no installation knows them in this tenant.

        The tenant may be a workspace of an organisation that has installed the app as a whole, so a token of another
        place may find the person.
        """
        own = await self._bot_tokens.tokens_of(principal.tenant)
        unsaid: str | None = None
        for token in own or await self._bot_tokens.all_tokens():
            try:
                user = await self._ask(token, principal.user)
            except UnavailableError as error:  # another installation may still know them
                unsaid = str(error)
                continue
            if user.get("id") == principal.user and principal.tenant in tenants_of(user):
                return user
        if unsaid is not None:
            raise UnavailableError(unsaid)
        return {}

    async def _ask(self, token: str, user_id: str) -> Mapping[str, Any]:
        client = new_client(token, self._api_base_url, timeout_seconds=_TIMEOUT_SECONDS)
        try:
            user = (await client.users_info(user=user_id)).get("user")
        except SlackApiError as error:
            reason = str(error.response.get("error"))
            if reason in _UNKNOWN:
                return {}
            raise UnavailableError(f"Slack does not say who {user_id} is ({reason}); check users:read") from None
        except no_answer() as error:
            raise UnavailableError(f"Slack did not say who {user_id} is ({type(error).__name__})") from None
        return user if isinstance(user, dict) else {}


def tenants_of(user: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every tenant that the person in a user object belongs to: the organisation first, then workspaces."""
    in_organisation = user.get("enterprise_user")
    in_organisation = in_organisation if isinstance(in_organisation, dict) else {}
    teams = in_organisation.get("teams")
    found = (in_organisation.get("enterprise_id"), user.get("team_id"), *(teams if isinstance(teams, list) else ()))
    return tuple(dict.fromkeys(each for each in found if isinstance(each, str) and each))


def name_of(user: Mapping[str, Any]) -> str | None:
    """Return the name in a user object, without characters that could disguise it, or None."""
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    for name in (profile.get("real_name"), profile.get("display_name"), user.get("real_name")):
        shown = "".join(filter(str.isprintable, name)).strip()[:MAX_NAME_LENGTH] if isinstance(name, str) else ""
        if shown:
            return shown
    return None
