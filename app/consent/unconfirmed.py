"""The end of consents that were never proven: revoked at Google where nobody else needs the account, then erased."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from app.consent.links import ConsentLinks
from app.consent.lock import take_consent_turn
from app.consent.quarantine import Quarantine
from app.database.database import Database
from app.errors import ProviderError, SealError
from app.principal import Principal

log = logging.getLogger(__name__)


class RevocationEndpoint(Protocol):
    """The part of a provider that ending a grant needs."""

    @property
    def ends_all(self) -> bool:
        """Return whether a revocation ends everything that the account granted to this client."""
        ...

    @property
    def title(self) -> str:
        """Return its name for people."""
        ...

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        """End the grant that a token belongs to; return whether it has ended, as one does that ended before."""
        ...


class RevocationEndpoints(Protocol):
    """The providers, by name."""

    def __getitem__(self, name: str, /) -> RevocationEndpoint:
        """Return one of them."""


class UnconfirmedConsents:
    """Ends quarantined grants; lives as long as the process and holds none."""

    def __init__(
        self, database: Database, links: ConsentLinks, quarantine: Quarantine, providers: RevocationEndpoints
    ) -> None:
        self._database = database
        self._links = links
        self._quarantine = quarantine
        self._providers = providers

    async def drop(self, principal: Principal, link_id: str, *, why: str = "", status: int = 400) -> None:
        """Let nobody use what waits by this link, and bring it to its end; a Google that fails is asked again later.

        Args:
            principal: Whose.
            link_id: By which link.
            why: The text that its browser's page shows from then on; "" for no particular reason.
            status: The HTTP status of that page.
        """
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            await self._quarantine.end(connection, principal, link_id)
            await self._links.end(connection, principal, link_id, (why, status))
        try:
            await self._finish(principal, link_id)
        except ProviderError as error:
            log.warning("an unconfirmed consent of %s is not yet revoked: %s", principal, error)

    async def sweep(self) -> None:
        """Drop what has waited too long, and finish what a process that ended, or Google, has left unfinished."""
        await asyncio.gather(*(self.drop(principal, link_id) for principal, link_id in await self._quarantine.over()))

    async def _finish(self, principal: Principal, link_id: str) -> None:
        """Revoke, then erase: if this process ends in between, the row is still there and both are done again."""
        try:
            ending = await self._quarantine.find_ending(principal, link_id)
        except SealError:
            log.error("an unconfirmed consent of %s cannot be opened, so it is erased but not revoked", principal)
        else:
            if ending is None:
                return
            provider = self._providers[ending.provider]
            if not provider.ends_all or not await self._quarantine.held_elsewhere(ending):
                refresh_token = ending.tokens.refresh_token
                token = refresh_token or ending.tokens.access_token
                await provider.revoke(token, is_refresh_token=refresh_token is not None)
        await self._quarantine.erase(principal, link_id)
