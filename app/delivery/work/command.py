"""The chat command, as the worker sees it."""

from __future__ import annotations

from typing import Protocol

from app.messages import InboundMessage, StoredMessage
from app.reply import LinkReply


class ChatCommand(Protocol):
    """A command that a person gives to Deputy itself, unseen by any model; it lives as long as the process."""

    async def reply(self, message: StoredMessage) -> str | LinkReply | None:
        """Carry out the message and return a reply for its sender alone, or None if it is not this command.

        An interrupted message is answered again, so a command must also reply if it was carried out before.
        """
        ...


class OvertakingCommand(Protocol):
    """A command that must not wait behind the message that its sender is waiting for; it lives as long as the process.

    It is a `ChatCommand` too: if the process that accepted the message ends before the command is carried out, it is
    carried out in its turn.
    """

    def overtakes(self, message: InboundMessage) -> bool:
        """Return whether a message is this command."""
        ...

    async def carry_out(self, message: StoredMessage) -> None:
        """Carry out a message that was just stored, and answer it. It may be called again for the same message."""
        ...
