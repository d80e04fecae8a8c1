"""Errors in the form of the Graph API.

https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes/
"""

from __future__ import annotations

from typing import Any


class WhatsAppError(Exception):
    """A request that Meta refuses.

    Attributes:
        code: Meta's error code.
        status: The HTTP status.
    """

    def __init__(self, code: int, details: str, *, status: int = 400) -> None:
        self.code = code
        self.status = status
        self.details = details
        super().__init__(f"(#{code}) {details}")

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        kind = "OAuthException" if self.code in (0, 190, 10) or 200 <= self.code < 300 else "GraphMethodException"
        data = {"messaging_product": "whatsapp", "details": self.details}
        error = {"message": str(self), "type": kind, "code": self.code, "error_data": data, "fbtrace_id": "Asandbox"}
        return {"error": error}


def invalid(details: str) -> WhatsAppError:
    """Return the error about a parameter that Meta does not take."""
    return WhatsAppError(100, details)
