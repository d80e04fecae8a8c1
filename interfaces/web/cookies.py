"""The cookies that bind a sign-in to one browser, so that no other browser can finish it."""

from __future__ import annotations

import hashlib

from fastapi import Request
from fastapi.responses import Response


class Cookies:
    """Sets, finds and removes the cookies of sign-ins; lives as long as the process and holds none.

    Each sign-in has its own cookie, named after it, so that two in one browser do not interfere. A cookie is sent to
    this host only, over HTTP only, and for top-level navigation only.

    Args:
        secure: Whether the server is reached over HTTPS; then its cookies are sent over HTTPS only.
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def keep(self, response: Response, sign_in: str, value: str, *, seconds: float) -> None:
        """Set the cookie of this sign-in in the browser."""
        response.set_cookie(
            self._name(sign_in), value, max_age=int(seconds), httponly=True, secure=self._secure, samesite="lax"
        )

    def find(self, request: Request, sign_in: str) -> str | None:
        """Return the value of this sign-in's cookie in this browser, or None."""
        return request.cookies.get(self._name(sign_in))

    def forget(self, response: Response, sign_in: str) -> None:
        """Remove the cookie of this sign-in from the browser."""
        response.delete_cookie(self._name(sign_in), httponly=True, secure=self._secure, samesite="lax")

    def _name(self, sign_in: str) -> str:
        """Return the cookie's name; ``__Host-`` pins it to this host and to HTTPS (RFC 6265bis, section 4.1.3.2)."""
        suffix = hashlib.sha256(sign_in.encode(errors="replace")).hexdigest()[:16]
        return f"{'__Host-' if self._secure else ''}deputy-consent-{suffix}"
