"""Where Google's OAuth is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GoogleEndpoints:
    """The five addresses of Google's sign-in. Lives as long as the process.

    Attributes:
        authorize: The consent page, to which a browser is sent.
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

    @classmethod
    def google(cls) -> GoogleEndpoints:
        """Google's own addresses.

        https://accounts.google.com/.well-known/openid-configuration lists them,
        https://developers.google.com/identity/protocols/oauth2/web-server describes them. `certs` is the PEM form that
        google-auth itself uses by default: for the JWK form (``/oauth2/v3/certs``) it ignores the permitted clock skew,
        so that a server whose clock is a second slow would refuse every sign-in.
        """
        return cls(
            authorize="https://accounts.google.com/o/oauth2/v2/auth",
            token="https://oauth2.googleapis.com/token",  # noqa: S106 - an address, not a token
            revoke="https://oauth2.googleapis.com/revoke",
            certs="https://www.googleapis.com/oauth2/v1/certs",
            issuer="https://accounts.google.com",
        )
