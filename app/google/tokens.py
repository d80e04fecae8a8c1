"""The values that Google's token endpoint gives."""

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
        access_token: Signs API calls; "" where Google gave a new refresh token and nothing to use.
        expires_at: When the access token ends, POSIX seconds.
        refresh_token: Gets the next access token. After a refresh: the new one, or None where the old one stays.
        granted_scopes: What the person granted, which may be less than was asked for.
        account: Whose the grant is; None after a refresh.
    """

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(repr=False)
    granted_scopes: frozenset[str]
    account: GoogleAccount | None = None


@dataclass(frozen=True, slots=True)
class RedeemedCode:
    """What a code was exchanged for, before it is verified whose account it is.

    Attributes:
        id_token: Signed by Google; names the account.
        claimed: The account that it names, unverified: use it for nothing but ending the grant.
    """

    tokens: GoogleTokens
    id_token: str = field(repr=False)
    claimed: GoogleAccount
