"""What the worker needs of a chat command."""

from __future__ import annotations

from typing import Protocol

from app.messages import StoredMessage
from app.reply import LinkReply


class ChatCommand(Protocol):
    """Something that a person says to Deputy itself; no model sees it. One object, as long as the process."""

    async def reply(self, message: StoredMessage) -> str | LinkReply | None:
        """Carry out the message and return a reply for its sender alone, or None if it is not this command.

        An interrupted message is taken up again, so a command that was already carried out must answer accordingly.
        """
        ...
