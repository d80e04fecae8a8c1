"""The meaning of Meta's errors for an answer: wait, or stop.

https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import UnavailableError, UnclearError, UndeliverableError

WINDOW_CLOSED = 131047
_LOOK_AGAIN_SECONDS = 60.0  # whether the person has written meanwhile
_SERVER_ERROR, _TOO_MANY = 500, 429
_LONGEST_WAIT_SECONDS = 3600.0

# Meta may have carried out the request.
_UNCLEAR = frozenset({1, 2, 131000, 131016, 133004, 135000})
# Rates, and how many seconds to wait at least; the pair rate is one message in six seconds.
_BUSY = {4: 60.0, 17: 60.0, 613: 60.0, 80007: 60.0, 130429: 1.0, 131048: 3600.0, 131056: 6.0, 133016: 3600.0}
# The token, the number, the text or the recipient is refused, so it would fail again.
_FINAL = frozenset(
    {
        *(0, 3, 10, 33, 100, 190, 368, 130472, 130497, 131005, 131008, 131009, 131021, 131026, 131030, 131031, 131037),
        *(131042, 131045, 131049, 131050, 131051, 131052, 131053, 131055, 131057, 131060, 134011, 470),
    }
)


class WindowClosedError(UnavailableError):
    """The person wrote more than 24 hours ago: they can be sent a template only, until they write again."""

    def __init__(self) -> None:
        words = "the person wrote more than 24 hours ago, so WhatsApp takes no answer until they write again"
        super().__init__(words, reason=str(WINDOW_CLOSED), retry_after=_LOOK_AGAIN_SECONDS)


def translated(status: int, body: object, headers: Mapping[str, str]) -> UnavailableError | UndeliverableError:
    """Return a refusal of the Graph API as our own error, by its code alone: its words may repeat what was sent.

    An unknown code is treated as temporary, so that no answer is lost because of it.

    Args:
        status: The HTTP status.
        body: The JSON body, of any shape.
        headers: The answer's headers.
    """
    code = code_of(body)
    reason = str(code) if code is not None else f"http_{status}"
    message = f"WhatsApp refused it: {reason}"
    if code == WINDOW_CLOSED:
        return WindowClosedError()
    if code in _UNCLEAR or (code is None and status >= _SERVER_ERROR):
        return UnclearError(message, reason=reason)
    if code in _BUSY or status == _TOO_MANY:
        return UnavailableError(message, reason=reason, retry_after=max(_BUSY.get(code or 0, 0.0), _asked(headers)))
    if code in _FINAL or (code is not None and 132000 <= code < 133000) or (code is not None and 200 <= code < 300):
        return UndeliverableError(message, reason=reason)
    if status >= _SERVER_ERROR:
        return UnclearError(message, reason=reason)
    return UnavailableError(message, reason=reason, retry_after=_asked(headers))


def code_of(body: Any) -> int | None:
    """Return the code of an error (``{"error": {"code": 131047, …}}``), if it has one."""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _asked(headers: Mapping[str, str]) -> float:
    value = headers.get("retry-after", "")
    return min(float(value), _LONGEST_WAIT_SECONDS) if value.isascii() and value.isdigit() else 0.0
