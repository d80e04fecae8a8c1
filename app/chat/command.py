"""What delivery needs of a chat command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from app.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class LinkReply:
    """A reply that shows a consent link. What is stored is which one: the link itself is put in each time it is told.

    Attributes:
        text: What is said below the link.
    """

    link_id: str
    text: str = field(repr=False)


class ChatCommand(Protocol):
    """Something that a person says to Deputy itself; no model sees it. One object, as long as the process."""

    async def reply(self, message: StoredMessage) -> str | LinkReply | None:
        """Do what the message says, and return what its sender alone is told; None when it is not this command.

        A message that was interrupted is taken again, so a command that was carried out before has to say so.
        """
        ...
