"""The chat command, as the worker sees it."""

from __future__ import annotations

from typing import Protocol

from app.messages import StoredMessage
from app.reply import LinkReply


class ChatCommand(Protocol):
    """A command that a person gives to Deputy itself, unseen by any model; it lives as long as the process."""

    async def reply(self, message: StoredMessage) -> str | LinkReply | None:
        """Carry out the message and return a reply for its sender alone, or None if it is not this command.

        An interrupted message is answered again, so a command must also reply if it was carried out before.
        """
        ...
