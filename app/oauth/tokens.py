"""The values that a token endpoint returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """The account that a person chose on the consent page.

    Attributes:
        subject: The provider's id of the account; it never changes, unlike the address.
        email: The address, or whatever else its person knows it by. Google's is verified.
    """

    subject: str
    email: str


NOBODY = ProviderAccount("", "")

NEVER = 253_402_300_799.0  # the end of the year 9999, POSIX seconds


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """Tokens of one grant; the tokens themselves appear in no repr.

    Attributes:
        access_token: Signs API calls; "" if the provider returned a new refresh token alone.
        expires_at: When the access token expires, POSIX seconds; `NEVER` if the provider only ends it by hand.
        refresh_token: Gets the next access token; None if there is none. After a refresh: the new one, or None if the
            old one stays valid.
        granted_scopes: The scopes that the person allowed, which may be fewer than were asked for.
        account: The account of the grant; None after a refresh.
    """

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(repr=False)
    granted_scopes: frozenset[str]
    account: ProviderAccount | None = None


@dataclass(frozen=True, slots=True)
class RedeemedCode:
    """The tokens that a code was exchanged for, before the account is verified.

    Attributes:
        id_token: Signed by the provider; names the account. "" if there is none.
        claimed: The account that the answer names, unverified; use it only to end the grant.
    """

    tokens: ProviderTokens
    id_token: str = field(repr=False)
    claimed: ProviderAccount
