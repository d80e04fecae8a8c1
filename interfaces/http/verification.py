"""Whose HTTP request it is."""

from __future__ import annotations

from app.errors import UnauthenticatedError


def bearer_token(authorization: str | None) -> str:
    """The token of an ``Authorization: Bearer …`` header (RFC 6750, section 2.1).

    Raises:
        UnauthenticatedError: There is no such header, or it holds something else.
    """
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("send the header `Authorization: Bearer <token>`")
    return token.strip()
