"""The values that Google's token endpoint returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GoogleAccount:
    """The Google account that a person chose on the consent page.

    Attributes:
        subject: Google's id of the account, decimal digits; it never changes, unlike the address.
        email: The address, verified by Google.
    """

    subject: str
    email: str


@dataclass(frozen=True, slots=True)
class GoogleTokens:
    """Tokens of one grant; the tokens themselves appear in no repr.

    Attributes:
        access_token: Signs API calls; "" if Google returned a new refresh token alone.
        expires_at: When the access token expires, POSIX seconds.
        refresh_token: Gets the next access token. After a refresh: the new one, or None if the old one stays valid.
        granted_scopes: The scopes that the person allowed, which may be fewer than were asked for.
        account: The account of the grant; None after a refresh.
    """

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(repr=False)
    granted_scopes: frozenset[str]
    account: GoogleAccount | None = None


@dataclass(frozen=True, slots=True)
class RedeemedCode:
    """The tokens that a code was exchanged for, before the account is verified.

    Attributes:
        id_token: Signed by Google; names the account.
        claimed: The account that it names, unverified; use it only to end the grant.
    """

    tokens: GoogleTokens
    id_token: str = field(repr=False)
    claimed: GoogleAccount
