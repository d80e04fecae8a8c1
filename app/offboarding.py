"""Offboarding: all that Deputy has of a person's access ends, and nothing is taken from them any more.

Every step is done again without harm, so a process that was killed in the middle is followed by whoever looks next:
the same command, or a server.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.api_tokens import ApiTokens
from app.consent.revocation import Ended, Revocation
from app.delivery.store.cancellation import Cancellation
from app.principal import Principal
from app.users import Users


@dataclass(frozen=True, slots=True)
class Offboarded:
    """What an offboarding ended, this time.

    Attributes:
        api_tokens: How many tokens of the HTTP interface.
        messages: How many messages that were undone.
        credentials: Grants and consent links.
    """

    api_tokens: int
    messages: int
    credentials: Ended

    @property
    def finished(self) -> bool:
        """Whether nothing is left; else Google gave no answer, and it is tried again."""
        return not self.credentials.waiting


class Offboarding:
    """Offboards people; lives as long as the process and holds none."""

    def __init__(self, users: Users, api_tokens: ApiTokens, cancellation: Cancellation, revocation: Revocation) -> None:
        self._users = users
        self._api_tokens = api_tokens
        self._withdrawal = cancellation
        self._revocation = revocation

    async def begin(self, principal: Principal) -> None:
        """Refuse this person from now on, and end their work; the servers end the rest within seconds."""
        await self._users.offboard(principal)
        await self._withdrawal.end_all(principal)

    async def offboard(self, principal: Principal) -> Offboarded:
        """Refuse this person from now on, and end all that is theirs.

        Raises:
            SealError: A grant does not open with this key ring, so Google cannot be told; all else has ended.
        """
        await self._users.offboard(principal)
        return await self.finish(principal)

    async def finish(self, principal: Principal) -> Offboarded:
        """End all that is left of a person who is refused already; nothing of one who was restored in the meantime.

        Raises:
            SealError: As for `offboard`.
        """
        api_tokens = await self._api_tokens.revoke(principal, leaver=True)
        messages = await self._withdrawal.end_all(principal)
        outcome = Offboarded(api_tokens, messages, await self._revocation.end(principal, leaver=True))
        if outcome.finished:
            await self._users.mark_ended(principal)
        return outcome
