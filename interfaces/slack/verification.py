"""Checks that a request comes from Slack (https://docs.slack.dev/authentication/verifying-requests-from-slack)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slack_sdk.signature import Clock, SignatureVerifier

from app.errors import UnauthenticatedError

_TIMESTAMP = re.compile(r"[0-9]{1,12}")  # the SDK calls int() on it


class _At(Clock):
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


def verify(signing_secret: str, body: bytes, headers: Mapping[str, str], *, now: float) -> None:
    """Check that the body was signed with the app's secret within the last five minutes.

    Args:
        signing_secret: The app's signing secret, 32 hexadecimal digits.
        body: The raw, signed body.
        headers: The request's headers; their case does not matter.
        now: The time, POSIX seconds.

    Raises:
        UnauthenticatedError: A header is missing or malformed, the time is off, or the signature is wrong.
    """
    timestamp = headers.get("x-slack-request-timestamp", "")
    signature = headers.get("x-slack-signature", "")
    if not _TIMESTAMP.fullmatch(timestamp) or not signature.isascii():
        raise UnauthenticatedError("this request is not signed by Slack; check slack.signing_secret")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise UnauthenticatedError("this request is not signed by Slack: it is not UTF-8") from None
    if not SignatureVerifier(signing_secret, _At(now)).is_valid(text, timestamp, signature):
        raise UnauthenticatedError("Slack's signature is wrong or older than five minutes; check signing_secret, clock")
