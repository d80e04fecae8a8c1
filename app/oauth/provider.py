"""What the consent and the grants need of an authorization server, whichever it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from app.errors import LinkExpiredError, ProviderError
from app.oauth.authorization import AuthorizationRequest
from app.oauth.tokens import ProviderTokens, RedeemedCode

GOOGLE = "google"  # the provider that every configuration has

Permission = Callable[[str, str | None], str]  # an OAuth scope and its provider's name, in words

log = logging.getLogger(__name__)


def unworded(oauth_scope: str, provider: str | None) -> str:
    """Return the OAuth scope itself."""
    return oauth_scope


class Provider(Protocol):
    """One authorization server. Lives as long as the process and holds no personal data."""

    @property
    def name(self) -> str:
        """Return its name in the settings, such as ``github``."""
        ...

    @property
    def title(self) -> str:
        """Return its name for people, such as ``GitHub``."""
        ...

    @property
    def manage_url(self) -> str | None:
        """Return the page on which people remove access themselves, if it has one."""
        ...

    @property
    def ends_all(self) -> bool:
        """Return whether a revocation ends everything that the account granted to this client, not one token alone."""
        ...

    @property
    def identity_scopes(self) -> frozenset[str]:
        """Return the OAuth scopes that only make the provider name the account, or are asked for with every sign-in."""
        ...

    @property
    def permits(self) -> Mapping[str, frozenset[str]]:
        """Return the OAuth scopes that permit what others do, and those."""
        ...

    def permission(self, oauth_scope: str) -> str:
        """Return in words what an OAuth scope permits, or the scope itself."""
        ...

    async def get_ready(self) -> None:
        """Fetch what the provider says about itself, if that is needed and not known yet.

        Raises:
            ProviderError: It does not say, or something else than the settings.
        """
        ...

    def authorization_url(self, asked: AuthorizationRequest) -> str:
        """Return the consent page's address; await `get_ready` before."""
        ...

    def check_callback(self, issuer: str | None) -> None:
        """Return if a callback with this `iss` can be this provider's: https://www.rfc-editor.org/rfc/rfc9207.

        Raises:
            CallbackRefusedError: It is another provider's.
        """
        ...

    async def redeem(self, *, code: str, code_verifier: str, oauth_scopes: frozenset[str]) -> RedeemedCode:
        """Exchange the code of a callback for tokens; the account still has to be verified.

        Raises:
            CallbackRefusedError: The code was used, has expired, or belongs to another consent.
            ProviderError: The provider answered with another error, or not at all.
        """
        ...

    async def verify(self, redeemed: RedeemedCode, *, nonce: str) -> ProviderTokens:
        """Verify which account a code belongs to, and return its tokens with the account.

        Raises:
            CallbackRefusedError: The provider names no account, or the answer is to another consent.
            ProviderError: The provider did not say.
        """
        ...

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        """Return a new access token; if refresh tokens rotate, with a new refresh token that replaces this one.

        Raises:
            InvalidGrantError: The grant has ended.
            ProviderError: The provider answered with another error, or not at all.
        """
        ...

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        """End the grant that a token belongs to; return whether it has ended, False where the provider cannot do it.

        Args:
            token: The grant's refresh token, or its access token if it has no other one.
            is_refresh_token: Which of them it is.

        Raises:
            ProviderError: The provider answered with an error, or not at all; the grant may still be valid.
        """
        ...


class Providers:
    """The providers of the settings, by name. Lives as long as the process."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers

    @property
    def names(self) -> list[str]:
        """Return the names, Google's first."""
        return sorted(self._providers, key=lambda name: (name != GOOGLE, name))

    def permission(self, oauth_scope: str, provider: str | None) -> str:
        """Return in words what an OAuth scope permits at a provider, or the scope itself."""
        return self[provider].permission(oauth_scope) if provider is not None else oauth_scope

    def in_words(self, oauth_scopes: frozenset[str], provider: str) -> str:
        """Return what OAuth scopes permit at a provider, without those that only name the account or that others imply.

        Args:
            oauth_scopes: The scopes; the stored ones of a grant contain all that each of them permits.
            provider: The provider's name.
        """
        at = self[provider]
        implied = frozenset[str]().union(*(at.permits.get(each, frozenset()) - {each} for each in oauth_scopes))
        return "; ".join(map(at.permission, sorted(oauth_scopes - at.identity_scopes - implied)))

    @property
    def connect_words(self) -> str:
        """Return what a person may write to connect an account: "`connect google` or `connect github`"."""
        *others, last = (f"`connect {name}`" for name in self.names)
        return f"{', '.join(others)} or {last}" if others else last

    def find(self, typed: str) -> str | None:
        """Return the name of the provider that a person means by its name or its title, or None."""
        return next(
            (name for name, each in self._providers.items() if typed in (name, each.title.lower().replace(" ", "-"))),
            None,
        )

    def __contains__(self, name: str) -> bool:
        """Return whether the settings have this provider."""
        return name in self._providers

    def __getitem__(self, name: str) -> Provider:
        """Return a provider; for one that the settings no longer have, one that can do nothing but be forgotten."""
        return self._providers.get(name) or RemovedProvider(name)


class RemovedProvider:
    """Stands for a provider that the settings no longer have, so that its grants can still be erased."""

    manage_url = None
    ends_all = False
    identity_scopes: frozenset[str] = frozenset()
    permits: Mapping[str, frozenset[str]] = MappingProxyType({})

    def __init__(self, name: str) -> None:
        self.name = self.title = name

    def permission(self, oauth_scope: str) -> str:
        """Return the scope itself."""
        return oauth_scope

    async def get_ready(self) -> None:
        """Refuse.

        Raises:
            ProviderError: Always.
        """
        raise self._gone()

    def authorization_url(self, asked: AuthorizationRequest) -> str:
        """Refuse; see `get_ready`."""
        raise self._gone()

    def check_callback(self, issuer: str | None) -> None:
        """Refuse.

        Raises:
            LinkExpiredError: Always.
        """
        raise LinkExpiredError(f"this assistant no longer connects {self.title}")

    async def redeem(self, **_: object) -> RedeemedCode:
        """Refuse; see `get_ready`."""
        raise self._gone()

    async def verify(self, redeemed: RedeemedCode, *, nonce: str) -> ProviderTokens:
        """Refuse; see `get_ready`."""
        raise self._gone()

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        """Refuse; see `get_ready`."""
        raise self._gone()

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        """Return False: nobody knows where to revoke it."""
        log.warning("a grant of %s is erased but not revoked: the settings have no such connection", self.name)
        return False

    def _gone(self) -> ProviderError:
        return ProviderError(f"the settings no longer have the connection {self.name}", status=404, provider=self.name)
