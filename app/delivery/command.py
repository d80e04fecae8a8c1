"""What delivery needs of a chat command."""

from __future__ import annotations

from typing import Protocol

from app.messages import StoredMessage


class ChatCommand(Protocol):
    """Something that a person says to Deputy itself; no model sees it. One object, as long as the process."""

    async def reply(self, message: StoredMessage) -> str | None:
        """Do what the message says, and return what its sender alone is told; None when it is not this command.

        A message that was interrupted is taken again, so a command that was carried out before has to say so.
        """
        ...
