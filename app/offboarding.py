"""Offboarding: ends all access that Deputy has for a person, and refuses their messages from then on.

Every step can be repeated safely, so if a process is killed in the middle, the same command or any server finishes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.api_tokens import ApiTokens
from app.consent.ended import Ended
from app.consent.revocation import Revocation
from app.delivery.store.cancellation import Cancellation
from app.principal import Principal
from app.users import Users


@dataclass(frozen=True, slots=True)
class Offboarded:
    """The number of things that one run of an offboarding ended.

    Attributes:
        api_tokens: Tokens of the HTTP interface.
        messages: Unfinished messages.
        credentials: Grants and consent links.
    """

    api_tokens: int
    messages: int
    credentials: Ended

    @property
    def finished(self) -> bool:
        """Whether nothing is left; if not, Google gave no answer, and a later run tries again."""
        return not self.credentials.waiting


class Offboarding:
    """Offboards people; lives as long as the process and holds none."""

    def __init__(self, users: Users, api_tokens: ApiTokens, cancellation: Cancellation, revocation: Revocation) -> None:
        self._users = users
        self._api_tokens = api_tokens
        self._withdrawal = cancellation
        self._revocation = revocation

    async def begin(self, principal: Principal) -> None:
        """Refuse this person from now on, and end their messages; the servers end the rest within seconds."""
        await self._users.offboard(principal)
        await self._withdrawal.end_all(principal)

    async def offboard(self, principal: Principal) -> Offboarded:
        """Refuse this person from now on, and end all of their access.

        Raises:
            SealError: A grant does not open with this key ring, so Google cannot be notified; everything else has
                ended.
        """
        await self._users.offboard(principal)
        return await self.finish(principal)

    async def finish(self, principal: Principal) -> Offboarded:
        """End everything that is left for an offboarded person, but nothing if they have been restored meanwhile.

        Raises:
            SealError: As for `offboard`.
        """
        api_tokens = await self._api_tokens.revoke(principal, leaver=True)
        messages = await self._withdrawal.end_all(principal)
        outcome = Offboarded(api_tokens, messages, await self._revocation.end(principal, leaver=True))
        if outcome.finished:
            await self._users.mark_ended(principal)
        return outcome
