"""Refreshing a grant's access token: one call to Google however many requests of the person need it.

Within a process they share one task, and of several processes the one with the lease asks Google. The others look at
the grant until it is renewed. A process that is killed between Google's answer and the storing of it takes a rotated
refresh token with it: the next refresh is then refused, the person consents again, and nobody else notices.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Protocol

from app.errors import GrantRevokedError, InvalidGrantError, ProviderError
from app.grants.grant import Grant
from app.grants.grants import Grants
from app.grants.refresh_leases import RefreshLease, RefreshLeases
from app.oauth.provider import GOOGLE
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS
from app.oauth.tokens import ProviderTokens
from app.principal import Principal
from app.single_flight import SingleFlight

# google-auth calls a token expired 225 s before its end, and refuses a refresh that yields one with less left.
FRESH_SECONDS = 300.0
# After the lease was asked for; what is left of it then is more than a call to Google and the storing take.
BEGIN_SECONDS = 3.0
_CLOSING_SECONDS = HTTP_TIMEOUT_SECONDS + 2.0  # for the answer to a call that is under way, and for storing it


class RefreshEndpoint(Protocol):
    """The part of a provider that refreshing needs."""

    async def get_ready(self) -> None:
        """Fetch what the provider says about itself, if that is needed and not known yet."""
        ...

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        """Exchange a refresh token for a fresh access token."""
        ...


class RefreshEndpoints(Protocol):
    """The providers, by name."""

    def __getitem__(self, name: str, /) -> RefreshEndpoint:
        """Return one of them."""


class Refresher:
    """Gives out grants whose access token is good for a while; lives as long as the process.

    Its only state is the map of refreshes in flight, keyed by the whole principal and the grant, and empty when
    nothing is refreshed.
    """

    def __init__(
        self,
        grants: Grants,
        leases: RefreshLeases,
        providers: RefreshEndpoints,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grants = grants
        self._leases = leases
        self._providers = providers
        self._now = now
        self._monotonic = monotonic
        self._refreshes: SingleFlight[tuple[Principal, str], Grant] = SingleFlight()

    async def fresh(
        self,
        principal: Principal,
        *,
        provider: str = GOOGLE,
        conversation: str | None = None,
        grant_id: str | None = None,
        rejected: str | None = None,
    ) -> Grant | None:
        """Return the person's active grant with at least 300 seconds left on its access token, or None.

        Args:
            principal: The person whose grant is needed.
            provider: Whose account it is for.
            conversation: The conversation it is used in, for which the person may have chosen one of their accounts.
            grant_id: The grant to use, even if the person has chosen another one since.
            rejected: An access token that Google has just rejected; it is not returned again.

        Raises:
            GrantRevokedError: Google no longer honours the grant, which is marked as revoked.
            ProviderError: Google gave no answer or another error; the grant is kept.
        """
        grants = self._grants
        while True:
            grant = await (
                grants.get(principal, grant_id) if grant_id else grants.find(principal, conversation, provider=provider)
            )
            if grant is None or grant.provider != provider:  # another provider's token is never given out for this one
                return None
            if grant.expires_at - self._now() > FRESH_SECONDS and grant.access_token != rejected:
                return grant
            key = (principal, grant.grant_id)
            joined = key in self._refreshes
            # Finish even if callers are cancelled, because Google may already have rotated the refresh token.
            renewed = await self._refreshes.join(key, functools.partial(self._refresh, grant))
            # A refresh that was already in progress may be the one that returned the rejected token.
            if renewed.access_token != rejected or not joined:
                return renewed

    async def refused(self, principal: Principal, grant_id: str, access_token: str) -> None:
        """Record that an API of Google rejects this grant's access token although it was just renewed.

        Google's sign-in may still honour the grant, so it is ended there too, as any other: by the janitor.

        Raises:
            GrantRevokedError: It is what the grant still has; the grant counts as over from now on.
        """
        grant = await self._grants.get(principal, grant_id)
        if grant is not None and grant.access_token == access_token and await self._grants.mark_ending(grant):
            raise GrantRevokedError(principal, connection=grant.provider)

    async def aclose(self) -> None:
        """Wait, for 12 seconds at most, until what is under way is stored: Google may have rotated already."""
        await self._refreshes.aclose(patience_seconds=_CLOSING_SECONDS)

    async def _refresh(self, grant: Grant) -> Grant:
        # Before the lease: this may take longer than it lasts, and then two processes would spend one refresh token.
        await self._providers[grant.provider].get_ready()
        while True:
            begin_before = self._monotonic() + BEGIN_SECONDS
            lease = await self._leases.take(grant)
            if lease is None:
                await self._leases.wait(grant)
                current = await self._current(grant)
                if current.access_token != grant.access_token:
                    return current
            else:
                renewed = await self._refresh_with(lease, grant, begin_before)
                if renewed is not None:
                    return renewed

    async def _refresh_with(self, lease: RefreshLease, grant: Grant, begin_before: float) -> Grant | None:
        """Refresh the grant under this lease, or return None without asking if too little of the lease is left."""
        give_back = self._leases.release
        try:
            current = await self._current(grant)
            if current.access_token != grant.access_token:
                return current  # renewed while this caller was on its way here
            if self._monotonic() > begin_before:
                return None
            return await self._ask_provider(current)
        except ProviderError:
            give_back = self._leases.pause
            raise
        finally:
            await give_back(lease)

    async def _ask_provider(self, grant: Grant) -> Grant:
        try:
            if grant.refresh_token is None:
                raise InvalidGrantError(f"the grant at {grant.provider} cannot be renewed")
            tokens = await self._providers[grant.provider].refresh(grant.refresh_token)
        except InvalidGrantError:
            if await self._grants.mark_revoked(grant):
                raise GrantRevokedError(grant.principal, connection=grant.provider) from None
        else:
            fresh = await self._grants.replace_tokens(grant, tokens)
            if not tokens.access_token:
                raise ProviderError(
                    f"the token answer of {grant.provider} has no access_token", status=200, provider=grant.provider
                )
            if fresh is not None:
                return fresh
        return await self._current(grant)  # a new consent, or an end, was faster

    async def _current(self, grant: Grant) -> Grant:
        current = await self._grants.get(grant.principal, grant.grant_id)
        if current is None:
            raise GrantRevokedError(grant.principal, connection=grant.provider)
        return current
