"""Reads the bearer token of an HTTP request."""

from __future__ import annotations

from app.errors import UnauthenticatedError


def bearer_token(authorization: str | None) -> str:
    """Return the token of an ``Authorization: Bearer …`` header (RFC 6750, section 2.1).

    Raises:
        UnauthenticatedError: The header is missing or has another form.
    """
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("send the header `Authorization: Bearer <token>`")
    return token.strip()
