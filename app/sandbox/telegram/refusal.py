"""Refusals, in the form of the Bot API (https://core.telegram.org/bots/api#making-requests)."""

from __future__ import annotations

from typing import Any


class TelegramRefusedError(Exception):
    """A request is refused.

    Attributes:
        code: The error code, which is the HTTP status too.
        description: Telegram's words.
        parameters: Such as ``{"retry_after": 3}``.
    """

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def as_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        return {**body, "parameters": self.parameters} if self.parameters else body


def bad_request(description: str) -> TelegramRefusedError:
    """Return a refusal with the code 400."""
    return TelegramRefusedError(400, f"Bad Request: {description}")
