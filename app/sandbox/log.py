"""A log of the calls to the sandbox, for tests and for the demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the sandbox answered. Each item of a batch is a separate call.

    Attributes:
        method_id: The discovery document's id, such as ``gmail.users.messages.list``, or ``oauth.authorize``,
            ``oauth.token.authorization_code``, ``oauth.token.refresh_token``, ``oauth.token.jwt-bearer``,
            ``oauth.revoke``, ``oauth.userinfo``, or ``unknown`` if no method has this path.
        email: The address of the person whose credentials the call carried, or None.
        bearer_sha256: The SHA-256 of the access token, in hexadecimal, or None if the call carried none.
        status: The HTTP status of the answer.
        at: When it was answered, in seconds since the epoch, by the sandbox's clock.
        query: The query of its address, percent-encoded as it was sent; empty for the calls of OAuth.
    """

    method_id: str
    email: str | None
    bearer_sha256: str | None
    status: int
    at: float
    query: str = ""


def fingerprint(bearer: str | None) -> str | None:
    """Return the SHA-256 of an access token in hexadecimal, which may appear in a log."""
    return None if bearer is None else sha256(bearer.encode()).hexdigest()


def bearer_of(authorization: str | None) -> str | None:
    """Return the token of an ``Authorization: Bearer …`` header (RFC 6750 §2.1), or None if it has none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
