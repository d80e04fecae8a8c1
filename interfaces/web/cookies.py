"""What a browser keeps of a sign-in, so that no other browser can finish it."""

from __future__ import annotations

import hashlib

from fastapi import Request
from fastapi.responses import Response


class Cookies:
    """Sets, finds and removes the cookies of sign-ins; lives as long as the process and holds none.

    Each sign-in has its own, named after it, so that two that are open in one browser do not get in each other's way.
    It is for this host, HTTP and top-level navigation alone.

    Args:
        secure: The server is reached over HTTPS, so its cookies go nowhere else.
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def keep(self, response: Response, sign_in: str, value: str, *, seconds: float) -> None:
        """Have the browser keep the cookie of the sign-in of this name."""
        response.set_cookie(
            self._name(sign_in), value, max_age=int(seconds), httponly=True, secure=self._secure, samesite="lax"
        )

    def find(self, request: Request, sign_in: str) -> str | None:
        """Return what this browser kept of that sign-in."""
        return request.cookies.get(self._name(sign_in))

    def forget(self, response: Response, sign_in: str) -> None:
        """Have the browser forget it."""
        response.delete_cookie(self._name(sign_in), httponly=True, secure=self._secure, samesite="lax")

    def _name(self, sign_in: str) -> str:
        """``__Host-`` pins it to this host and to HTTPS (RFC 6265bis, section 4.1.3.2)."""
        suffix = hashlib.sha256(sign_in.encode(errors="replace")).hexdigest()[:16]
        return f"{'__Host-' if self._secure else ''}deputy-consent-{suffix}"
