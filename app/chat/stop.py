"""The command ``stop``, with which a person ends what the assistant does for them in a conversation."""

from __future__ import annotations

from app.chat.words import words_of
from app.delivery.store.stops import STOPPED, in_words
from app.delivery.work.stopping import Stopping
from app.messages import InboundMessage, StoredMessage


class StopCommand:
    """Stops what its sender wrote before it, without waiting for its turn; lives as long as the process."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping

    def overtakes(self, message: InboundMessage) -> bool:
        """Return whether a message says to stop."""
        return words_of(message.text) == ("stop",) and not message.attachments

    async def carry_out(self, message: StoredMessage) -> None:
        """Stop what the sender wrote before this message, and answer it."""
        await self._stopping.stop_before(message)

    async def reply(self, message: StoredMessage) -> str | None:
        """Do the same when it is the message's turn: the process that accepted it may have ended before it did so."""
        if words_of(message.text) != ("stop",) or message.attachments:
            return None
        return in_words(await self._stopping.stop_before(message)) or STOPPED
