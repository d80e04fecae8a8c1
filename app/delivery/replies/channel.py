"""The channel, as delivery needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.agents.listening import Listener
from app.consent.link import Place
from app.messages import Attachment, StoredMessage
from app.reply import ReplyContent


class Follower(Listener, Protocol):
    """Follows one run, and shows its person what it writes."""

    def end(self) -> None:
        """Return at once; the run has ended, and nothing more is shown unless a reply takes over."""
        ...


class Channel(Protocol):
    """Sends people their replies; one object for each platform, which lives as long as the process."""

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Send a reply to a message, where everybody who should see it can read it at any time.

        Args:
            message: The message; its address says where it came from, its principal who wrote it.
            content: The reply's contents.
            private: Only the sender may see it. In a group it goes to their direct chat, and one public line says so.
            reply_id: The id of this reply, the same at every try; 32 hexadecimal digits.
            again: An earlier try may have got through; a channel that can look this up sends only the missing parts.

        Raises:
            UnclearError: The platform gave no answer. It is tried again once a reply that has arrived must be visible.
            UnavailableError: The platform refuses it for now. It is tried again, not before `retry_after`.
            UndeliverableError: The platform refuses it for good. It is not tried again.
        """
        ...

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Delete all copies of a reply but the first, if the channel can.

        A process that sent a reply although another had taken it over calls this; several may do so at once.

        Raises:
            UnavailableError: The platform refuses it for now.
            UndeliverableError: The platform refuses it for good.
        """
        ...

    def follow(self, message: StoredMessage) -> Follower | None:
        """Return what shows the answer while it is written; None if the channel shows it once it is complete.

        It is called when a run begins. Where others can read along, it is told no word that they may not read, but the
        reply may still be private: then the public line takes the place of what is shown.

        Args:
            message: The message, in the attempt that begins.
        """
        ...

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Show the sender that this message is being worked on, as people know it there: typing, a status, a reaction.

        It is first awaited about a second after the message arrived, and then every few seconds while the work goes on,
        so a sign that fades is renewed. It takes 5 seconds at most, and fails without harm.

        Args:
            message: The message that is being worked on.
            doing: The work under way, once the message is 15 seconds old: ``searching your mail``. Until then None.

        Raises:
            UnavailableError: The platform refuses it for now.
            UndeliverableError: The platform refuses it for good.
        """
        ...

    async def show_idle(self, message: StoredMessage) -> None:
        """Clear the sign of `show_working`, unless it fades or a reply clears it; awaited once the work has ended.

        Raises:
            UnavailableError: The platform refuses it for now.
            UndeliverableError: The platform refuses it for good.
        """
        ...

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Return the contents of an attachment of this message, which the platform has kept until now.

        Args:
            message: The message; its address says where the attachment is.
            attachment: One of its attachments.
            limit: Maximum size in bytes. Reading ends there, even if the platform states a smaller size.

        Raises:
            AttachmentTooLargeError: It exceeds the limit.
            AttachmentGoneError: The platform does not have it any more, or does not give it to the assistant.
            UnavailableError: The platform does not give it for now.
        """
        ...

    def is_group(self, message: StoredMessage) -> bool:
        """Return whether others can read along where the message came from."""
        ...


def place_of(message: StoredMessage, channels: Mapping[str, Channel]) -> Place:
    """Return whether a message comes from a direct chat with the assistant or from a group."""
    channel = channels.get(message.principal.platform)
    return Place.GROUP if channel is not None and channel.is_group(message) else Place.DIRECT
