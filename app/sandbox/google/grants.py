"""The grants of the sandbox's people, with their codes and tokens. No HTTP."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

CODE_SECONDS = 600  # https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2 recommends 10 minutes at most

# Google answers with the long forms of these two, no matter which form was requested.
_LONG_FORMS = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
IDENTITY_SCOPES = frozenset({"openid", *_LONG_FORMS.values()})


def scopes_of(text: str) -> tuple[str, ...]:
    """Return the scopes in a space-separated list, once each, in order; ``email`` and ``profile`` in long form."""
    return tuple(dict.fromkeys(_LONG_FORMS.get(scope, scope) for scope in text.split()))


class OAuthError(Exception):
    """The token or revocation endpoint refuses a request; `error` is RFC 6749's code, `status` the HTTP status."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        self.error = error
        self.description = description
        self.status = status
        super().__init__(f"{error}: {description}")


@dataclass(frozen=True, slots=True)
class Authorization:
    """A person's decision on the consent page, and the client's request.

    Attributes:
        email: The person's address.
        redirect_uri: Where the code is sent; the exchange must name the same URL.
        scopes: The granted scopes.
        code_challenge: The S256 challenge of the client's PKCE verifier (RFC 7636 §4.2).
        nonce: The nonce for the id_token, or None.
        offline: Whether the client asked for ``access_type=offline``.
        prompted: Whether the client asked for ``prompt=consent``.
    """

    email: str
    redirect_uri: str
    scopes: tuple[str, ...]
    code_challenge: str
    nonce: str | None
    offline: bool
    prompted: bool


@dataclass(frozen=True, slots=True)
class Issued:
    """The tokens that the token endpoint issues; `expires_in` is the access token's lifetime in seconds."""

    email: str
    scopes: tuple[str, ...]
    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str | None = field(repr=False)
    nonce: str | None


@dataclass(frozen=True, slots=True)
class _Grant:
    email: str
    scopes: tuple[str, ...]
    offline: bool
    delegated: bool = False  # by an administrator; the person has granted nothing


@dataclass(frozen=True, slots=True)
class _Code:
    authorization: Authorization
    expires_at: float
    used: bool = False
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Access:
    grant_id: str
    scopes: tuple[str, ...]
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Refresh:
    grant_id: str
    spent: bool = False


class SandboxGrants:
    """Every grant of every person to the sandbox's one client. Lives with the sandbox; all state is in memory.

    A grant is the result of one exchanged code. It ends when its code or one of its used refresh tokens is presented
    again (RFC 9700 §4.14.2). Revoking any token of a person ends all of their grants, because Google revokes per user
    and client: https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke
    """

    def __init__(self, *, rotate_refresh_tokens: bool, access_token_seconds: int, now: Callable[[], float]) -> None:
        self._rotate = rotate_refresh_tokens
        self._access_token_seconds = access_token_seconds
        self._now = now
        self._grants: dict[str, _Grant] = {}  # the active ones
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, _Access] = {}
        self._refresh: dict[str, _Refresh] = {}

    def granted_scopes(self, email: str) -> tuple[str, ...]:
        """Return all scopes of this person's active grants, which ``include_granted_scopes`` adds to a new one."""
        theirs = (grant for grant in self._grants.values() if grant.email == email and not grant.delegated)
        scopes = (scope for grant in theirs for scope in grant.scopes)
        return tuple(dict.fromkeys(scopes))

    def authorize(self, authorization: Authorization) -> str:
        """Return a code that can be exchanged once for this authorization, within ten minutes."""
        code = f"4/0{secrets.token_urlsafe(32)}"
        self._codes[code] = _Code(authorization, self._now() + CODE_SECONDS)
        return code

    def exchange(self, code: str, redirect_uri: str, code_verifier: str) -> Issued:
        """Exchange a code for tokens; the code is used up even if the exchange fails.

        Raises:
            OAuthError: The code is unknown, expired or used, or the redirect URI or the PKCE verifier does not fit.
        """
        entry = self._codes.get(code)
        if entry is None:
            raise OAuthError("invalid_grant", "Malformed auth code.")
        if entry.used:
            self._kill(entry.grant_id)
            raise OAuthError("invalid_grant", "Code was already redeemed.")
        self._codes[code] = replace(entry, used=True)
        authorization = entry.authorization
        if self._now() >= entry.expires_at:
            raise OAuthError("invalid_grant", "Code expired.")
        if redirect_uri != authorization.redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "Bad Request")
        if not code_verifier:
            raise OAuthError("invalid_grant", "Missing code verifier.")
        if not secrets.compare_digest(challenge_of(code_verifier), authorization.code_challenge):
            raise OAuthError("invalid_grant", "Invalid code verifier.")
        issued, grant_id = self._grant(authorization)
        self._codes[code] = replace(entry, used=True, grant_id=grant_id)
        return issued

    def refresh(self, refresh_token: str, scopes: Iterable[str] = ()) -> Issued:
        """Return a new access token for a refresh token; `scopes` may be fewer than were granted, never more.

        Raises:
            OAuthError: The refresh token is unknown, used or revoked, or a scope was not granted.
        """
        entry = self._refresh.get(refresh_token)
        grant = self._grants.get(entry.grant_id) if entry else None
        if entry is None or grant is None:
            raise OAuthError("invalid_grant", "Token has been expired or revoked.")
        if entry.spent:
            self._kill(entry.grant_id)
            raise OAuthError("invalid_grant", "Token has been expired or revoked.")
        wanted = tuple(scopes) or grant.scopes
        if not set(wanted) <= set(grant.scopes):
            raise OAuthError("invalid_scope", "Some requested scopes were not granted.")
        renewed = None
        if self._rotate:
            self._refresh[refresh_token] = replace(entry, spent=True)
            renewed = self._new_refresh_token(entry.grant_id)
        access_token = self._new_access_token(entry.grant_id, wanted)
        return Issued(grant.email, wanted, access_token, self._access_token_seconds, renewed, nonce=None)

    def delegate(self, email: str, scopes: tuple[str, ...]) -> Issued:
        """Return an access token for a person through delegation, without their consent and without a refresh token."""
        grant_id = secrets.token_hex(8)
        self._grants[grant_id] = _Grant(email, scopes, offline=False, delegated=True)
        access_token = self._new_access_token(grant_id, scopes)
        return Issued(email, scopes, access_token, self._access_token_seconds, refresh_token=None, nonce=None)

    def revoke(self, token: str) -> str:
        """End every grant of the person to whom an access or refresh token belongs; return their address.

        Raises:
            OAuthError: The token is unknown, or no longer valid.
        """
        access, refresh = self._access.get(token), self._refresh.get(token)
        grant = self._grants.get(access.grant_id if access else refresh.grant_id if refresh else "")
        if grant is None:
            raise OAuthError("invalid_token", "Token expired or revoked")
        for grant_id in [key for key, other in self._grants.items() if other.email == grant.email]:
            self._kill(grant_id)
        return grant.email

    def owner(self, access_token: str | None) -> tuple[str, frozenset[str]] | None:
        """Return the address and the scopes of an access token, or None if it is unknown, expired or revoked."""
        access = self._access.get(access_token or "")
        grant = self._grants.get(access.grant_id) if access else None
        if access is None or grant is None or self._now() >= access.expires_at:
            return None
        return grant.email, frozenset(access.scopes)

    def _grant(self, authorization: Authorization) -> tuple[Issued, str]:
        email = authorization.email
        first = not any(grant.email == email and grant.offline for grant in self._grants.values())
        with_refresh = authorization.offline and (first or authorization.prompted)
        grant_id = secrets.token_hex(8)
        self._grants[grant_id] = _Grant(email, authorization.scopes, with_refresh)
        access_token = self._new_access_token(grant_id, authorization.scopes)
        refresh_token = self._new_refresh_token(grant_id) if with_refresh else None
        issued = Issued(
            email, authorization.scopes, access_token, self._access_token_seconds, refresh_token, authorization.nonce
        )
        return issued, grant_id

    def _new_access_token(self, grant_id: str, scopes: tuple[str, ...]) -> str:
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._access[token] = _Access(grant_id, scopes, self._now() + self._access_token_seconds)
        return token

    def _new_refresh_token(self, grant_id: str) -> str:
        token = f"1//0{secrets.token_urlsafe(48)}"
        self._refresh[token] = _Refresh(grant_id)
        return token

    def _kill(self, grant_id: str | None) -> None:
        self._grants.pop(grant_id or "", None)


def challenge_of(code_verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
