"""What delivery needs of a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.consent.link import Place
from app.messages import StoredMessage


class Channel(Protocol):
    """Tells people something; one object a platform, as long as the process."""

    async def send(self, message: StoredMessage, text: str, *, private: bool, reply_id: str, again: bool) -> None:
        """Answer where the message came from.

        Args:
            message: What is answered; its address says where, its principal to whom.
            text: What to say, Markdown.
            private: Only the sender may see it: in a group it goes to them alone.
            reply_id: Names this reply, the same at every try; 32 hexadecimal digits.
            again: An earlier try may have got through. A channel that can look that up does, and sends what is missing.

        Raises:
            UnclearError: The platform gave no answer; it is tried again when it must have arrived, if it has.
            UnavailableError: The platform did not take it; it is tried again later.
        """
        ...

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Let the first copy of a reply stay, and no other, where the channel can see to that.

        For a process that sent it though another one had taken it over. Several may do so at once.

        Raises:
            UnavailableError: The platform did not do it; it can be tried again later.
        """
        ...

    def is_group(self, message: StoredMessage) -> bool:
        """Whether others read along where the message came from."""
        ...


def place_of(message: StoredMessage, channels: Mapping[str, Channel]) -> Place:
    """Whether a message comes from a chat that its sender has with the assistant alone, or from a group."""
    channel = channels.get(message.principal.platform)
    return Place.GROUP if channel is not None and channel.is_group(message) else Place.DIRECT
