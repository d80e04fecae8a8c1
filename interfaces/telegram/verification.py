"""Verifies that a request comes from Telegram (https://core.telegram.org/bots/api#setwebhook)."""

from __future__ import annotations

import hmac

from app.errors import UnauthenticatedError

HEADER = "X-Telegram-Bot-Api-Secret-Token"


def verify(secret: str, sent: str | None) -> None:
    """Check what a request bears in `HEADER`, in constant time.

    Raises:
        UnauthenticatedError: It bears nothing, or something else than the secret.
    """
    if sent is None:
        raise UnauthenticatedError(f"the request has no {HEADER}")
    if not hmac.compare_digest(secret.encode(), sent.encode("utf-8", errors="replace")):
        raise UnauthenticatedError(f"{HEADER} is not the configured webhook_secret")
