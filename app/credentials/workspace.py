"""Access that a Workspace's administrator has delegated: nobody consents, and the person is who their channel says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from app.credentials.token_cache import TokenCache
from app.errors import AccessRefusedError, UnavailableError
from app.google.scopes import missing_scopes
from app.grants.refresh import FRESH_SECONDS
from app.identities import Directory
from app.oauth.tokens import ProviderTokens
from app.principal import Principal

ADDRESS_SECONDS = 300.0  # so long an address is believed before its channel is asked again
_ADDRESS = re.compile(r"[!-?A-~]+@([a-z0-9-]+(?:\.[a-z0-9-]+)+)")  # printable ASCII with one @, in lower case


def domain_of(email: str) -> str | None:
    """Return the domain of an address in lower case, or None for anything but exactly one plain address."""
    match = _ADDRESS.fullmatch(email.lower()) if email.isascii() else None  # some letters become ASCII by lower()
    return match[1] if match else None


class Delegated(Protocol):
    """The service account."""

    async def token_for(self, subject: str, oauth_scopes: frozenset[str]) -> ProviderTokens:
        """Return a token that acts as one person, for exactly these OAuth scopes."""
        ...


@dataclass(frozen=True, slots=True)
class DelegatedAccess:
    """Access to one person's account, for some minutes; the token shows in no `repr`.

    Attributes:
        credential_id: The address that it acts as.
        expires_at: When the access token ends, POSIX seconds.
    """

    credential_id: str
    granted_scopes: frozenset[str]
    access_token: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Address:
    email: str
    seen_at: float


class WorkspaceTokens:
    """Gives access by delegation, as the address that the person's channel has verified; lives as long as the process.

    It keeps access tokens in memory until they end, by the whole principal, the address and the OAuth scopes, and
    stores nothing. Nothing that a person or a model writes can influence it.

    Args:
        directories: The channels that verify addresses, by platform. Nobody of another platform has access.
        service_account: Gets the tokens.
        domains: The only domains whose people are acted for, in lower case; their subdomains are not among them.
        now: The time, POSIX seconds.
    """

    def __init__(
        self,
        directories: Mapping[str, Directory],
        service_account: Delegated,
        *,
        domains: Collection[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directories = directories
        self._service_account = service_account
        self._domains = frozenset(domains)
        self._now = now
        self._addresses: TokenCache[Principal, _Address] = TokenCache(
            lambda address: address.seen_at + ADDRESS_SECONDS, now=now
        )
        self._tokens: TokenCache[tuple[Principal, str, frozenset[str]], DelegatedAccess] = TokenCache(
            lambda access: access.expires_at - FRESH_SECONDS, now=now
        )

    async def fresh(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        credential_id: str | None = None,
        rejected: str | None = None,
    ) -> DelegatedAccess:
        """Access to the account of the person's verified address, for exactly these OAuth scopes.

        There is one account a person, so neither the conversation nor what was used before chooses anything.

        Raises:
            AccessRefusedError: No address is verified, it is outside the domains, or Google does not delegate it.
            ProviderError: Google did not answer, or with another error.
        """
        address = await self._addresses.get(principal, partial(self._look_up, principal))
        return await self._tokens.get(
            (principal, address.email, oauth_scopes),
            partial(self._delegated, address.email, oauth_scopes),
            acceptable=lambda access: access.access_token != rejected,
        )

    async def refused(self, principal: Principal, credential_id: str, access_token: str) -> None:
        """Do nothing: there is no grant that could end, and the next token is another one."""

    async def _look_up(self, principal: Principal) -> _Address:
        directory = self._directories.get(principal.platform)
        try:
            email = await directory.find_email(principal) if directory is not None else None
        except UnavailableError:
            raise AccessRefusedError("The channel did not say which address is this person's. Try again.") from None
        if email is None:
            raise AccessRefusedError(
                f"No verified address of {principal} is known, so no Google account can be used. An administrator can "
                "fix that: a confirmed address in the Slack profile and the app's scope users:read.email, or for HTTP "
                "`deputy tokens issue --email`."
            )
        if domain_of(email) not in self._domains:
            raise AccessRefusedError(
                f"The address of {principal} is in none of the domains that google.workspace.domains allows, so no "
                "Google account can be used. An administrator decides which domains are served."
            )
        return _Address(email.lower(), self._now())

    async def _delegated(self, email: str, oauth_scopes: frozenset[str]) -> DelegatedAccess:
        tokens = await self._service_account.token_for(email, oauth_scopes)
        missing = missing_scopes(oauth_scopes, tokens.granted_scopes)
        if missing:
            raise AccessRefusedError(
                f"Google gave a token without {', '.join(sorted(missing))}. An administrator adds them to the service "
                "account at admin.google.com under Security, API controls, Domain-wide delegation."
            )
        return DelegatedAccess(email, oauth_scopes, tokens.access_token, tokens.expires_at)
