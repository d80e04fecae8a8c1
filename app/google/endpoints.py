"""Where Google's OAuth is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GoogleEndpoints:
    """The five addresses of Google's sign-in. Lives as long as the process.

    Attributes:
        authorize: The consent page, opened in the person's browser.
        token: Exchanges a code, or a refresh token, for tokens.
        revoke: Ends a grant.
        certs: The public keys of id_tokens, as ``{key id: PEM}`` or as a JWK set (RFC 7517).
        issuer: The `iss` of id_tokens.
    """

    authorize: str
    token: str
    revoke: str
    certs: str
    issuer: str
