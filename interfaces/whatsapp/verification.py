"""Checks that a request comes from Meta.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

from app.errors import UnauthenticatedError

_PREFIX = "sha256="
_CHALLENGE_LENGTH = 255


def verify(app_secret: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Check that the body was signed with the app's secret.

    Meta signs no time, so an old request can be sent again: that each message is stored once is what makes it harmless.

    Args:
        app_secret: The Meta app's secret.
        body: The raw, signed body.
        headers: The request's headers; their case does not matter.

    Raises:
        UnauthenticatedError: The header is missing or malformed, or the signature is wrong.
    """
    given = headers.get("x-hub-signature-256", "")
    expected = _PREFIX + hmac.new(app_secret.encode(), body, sha256).hexdigest()
    if not given.isascii() or not hmac.compare_digest(given, expected):
        raise UnauthenticatedError("this request is not signed by Meta; check interfaces.whatsapp.app_secret")


def challenge(verify_token: str, query: Mapping[str, str]) -> str:
    """Return what Meta wants to read when it checks the address of the webhook.

    Raises:
        UnauthenticatedError: It is no such check, or the token is another one.
    """
    token = query.get("hub.verify_token", "")
    if query.get("hub.mode") != "subscribe" or not hmac.compare_digest(token.encode(), verify_token.encode()):
        raise UnauthenticatedError("this is not Meta's check of the webhook; check interfaces.whatsapp.verify_token")
    value = query.get("hub.challenge", "")
    if not value or len(value) > _CHALLENGE_LENGTH or not value.isascii() or not value.isalnum():
        raise UnauthenticatedError("Meta's check of the webhook carries no usable hub.challenge")
    return value
