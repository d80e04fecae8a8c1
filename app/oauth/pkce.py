"""Proof Key for Code Exchange, RFC 7636: only the client that asked for a code can redeem it."""

from __future__ import annotations

import base64
import hashlib


def code_challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier, https://datatracker.ietf.org/doc/html/rfc7636#section-4.2."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
