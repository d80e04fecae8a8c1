"""The notes of channels, kept in memory and shared by all processes of one test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.delivery.store.notes import ChannelNotes
from app.messages import StoredMessage


class RememberedNotes(ChannelNotes):
    """Notes in memory.

    Attributes:
        kept: The notes of each message, by its id.
        ended: The ids of messages that have ended.
        attempts: The latest attempt of each message, by its id; 1 by default.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, Any] | None] = {}
        self.ended: set[str] = set()
        self.attempts: dict[str, int] = {}

    async def is_open(self, message: StoredMessage) -> bool:
        """Return whether the message has not ended."""
        return message.message_id not in self.ended and self._is_latest(message)

    async def keep(self, message: StoredMessage, notes: Mapping[str, Any] | None, *, while_open: bool) -> bool:
        """Keep the notes, unless another attempt has begun, or the message has ended and `while_open` is set."""
        if not self._is_latest(message) or (while_open and message.message_id in self.ended):
            return False
        self.kept[message.message_id] = notes and {**notes}
        return True

    def _is_latest(self, message: StoredMessage) -> bool:
        return self.attempts.get(message.message_id, 1) == message.attempt
