"""The command ``new conversation``, with which a person starts afresh."""

from __future__ import annotations

from app.chat.words import words_of
from app.conversations.history import Conversations
from app.messages import StoredMessage

_NEAR = {("new", "chat"), ("new",), ("reset",), ("start", "over"), ("start", "afresh"), ("clear",)}
_HINT = "To start afresh, so that I forget what we said here, send me `new conversation`."
FORGOTTEN = "I have forgotten what we said here. What can I do for you?"


class NewConversationCommand:
    """Erases the sender's history in a conversation; lives as long as the process and holds no history."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def reply(self, message: StoredMessage) -> str | None:
        """Forget what the sender and the assistant said here; None when the message is anything else."""
        words = words_of(message.text)
        if words in _NEAR:
            return _HINT
        if words != ("new", "conversation"):
            return None
        await self._conversations.forget(message.principal, message.conversation)
        return FORGOTTEN
