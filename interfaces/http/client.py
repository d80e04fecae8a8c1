"""The way back over HTTP: the stored row is the answer, and the requests that wait for it are woken."""

from __future__ import annotations

from app.delivery.replies.waiters import Waiters
from app.errors import AttachmentGoneError
from app.messages import Attachment, StoredMessage
from app.reply import ReplyContent


class HttpChannel:
    """Wakes the requests that wait for a message. Lives as long as the process."""

    def __init__(self, waiters: Waiters) -> None:
        self._waiters = waiters

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Wake the requests that wait for this message; they read its row."""
        self._waiters.wake(message.message_id)

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Do nothing: the row is the only copy."""

    def follow(self, message: StoredMessage) -> None:
        """Return None: clients that accept events are told by their stream."""

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Do nothing: the state `running` says so, and clients that accept events are told by their stream."""

    async def show_idle(self, message: StoredMessage) -> None:
        """Do nothing, as for `show_working`."""

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Raise an error: no request can carry an attachment."""
        raise AttachmentGoneError("messages over HTTP have no attachments")

    def is_group(self, message: StoredMessage) -> bool:
        """Return False: only the sender can read a message and its answer."""
        return False
