"""Messages: as they arrive from a channel, and as they are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.principal import Principal
from app.sent_files import FileReference

# By this a person's tools find a file that they sent: the beginning of the message's id, and the file's number in it.
REFERENCE = re.compile(r"file-(?P<message>[0-9a-f]{12})-(?P<number>[0-9]{1,2})")
MAX_TEXT_LENGTH = 40_000  # characters; Slack's own limit for one message


class MessageState(StrEnum):
    """The state of an accepted message: ``new → running → done | parked | failed``, and ``parked → new``."""

    NEW = "new"
    RUNNING = "running"
    PARKED = "parked"
    DONE = "done"
    FAILED = "failed"


class AttachmentKind(StrEnum):
    """The kind of an attachment, as its channel says."""

    IMAGE = "image"
    VOICE = "voice"  # recorded in the chat by the sender
    AUDIO = "audio"  # any other sound, which somebody else may have recorded
    VIDEO = "video"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message; its contents stay on the platform until the message is answered.

    Attributes:
        kind: Its kind.
        name: Its file name, or an empty text. Anybody may have chosen it, so it is untrusted.
        mime_type: Its type as the platform states it, such as ``image/png``, or an empty text.
        size: Its bytes as the platform states them; None if it does not.
        reference: The channel's id of the file, with which the channel can fetch it. Never a URL: those of some
            platforms open the file to everybody.
    """

    kind: AttachmentKind
    name: str = field(repr=False)
    mime_type: str
    size: int | None
    reference: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message as a channel verified and parsed it.

    Attributes:
        principal: The sender, never anybody else in the conversation.
        event_id: The platform's id of the message, unique within platform and tenant; a repeated one is a duplicate.
        conversation: The thread or chat, unique within platform and tenant; its messages are answered in order.
        text: The text that the person wrote, which may be empty if there are attachments; no `repr` shows it.
        address: JSON data that the channel needs to answer; only the channel reads it.
        payload: The channel's id of the raw message, if it keeps one; never contents.
        attachments: The files that came with it.
        chat: The platform's id of the group or channel; None for a direct chat.
    """

    principal: Principal
    event_id: str
    conversation: str
    text: str = field(repr=False)
    address: Mapping[str, Any] = field(default_factory=dict)
    payload: str | None = None
    attachments: tuple[Attachment, ...] = ()
    chat: str | None = None


# A message's state and attempt: every change that matters to its sender changes at least one of them.
Version = tuple[MessageState, int]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An accepted message, read from its row.

    Attributes:
        message_id: 32 hexadecimal digits.
        sequence: 1, 2, … within its conversation.
        attempt: How often it was begun; a change made for an earlier attempt is refused.
        interruptions: How many attempts were interrupted; parking does not count.
        failures: How many attempts ended with a temporary fault, such as a busy model.
        answer: The answer or apology, once the state is done or failed.
        link_id: The consent link that is shown with the answer.
        private: The answer is for the sender's eyes alone.
        created_at: When it was stored, POSIX seconds by the clock of the process that stored it.
        attachments: The files that came with it.
        files: The files that go with the answer.
        notes: The channel's notes about the reply that it is showing; only the channel reads it.
    """

    message_id: str
    principal: Principal
    conversation: str
    sequence: int
    text: str = field(repr=False)
    address: Mapping[str, Any]
    state: MessageState
    attempt: int
    interruptions: int
    failures: int
    answer: str | None = field(repr=False)
    link_id: str | None
    private: bool
    created_at: float
    attachments: tuple[Attachment, ...] = ()
    notes: Mapping[str, Any] | None = None
    files: tuple[FileReference, ...] = ()

    @property
    def version(self) -> Version:
        """Return the state and the attempt in which the message was read."""
        return self.state, self.attempt

    def reference_to(self, attachment: Attachment) -> str:
        """Return the reference of one of its files: ``file-3fa91c0b2d4e-1``. It is of use to the sender, here alone."""
        return f"file-{self.message_id[:12]}-{self.attachments.index(attachment) + 1}"


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """The key of a conversation: messages with an equal key are answered one after the other."""

    platform: str
    tenant: str
    conversation: str

    @classmethod
    def of(cls, message: StoredMessage | InboundMessage) -> ConversationKey:
        """Return the conversation that a message belongs to."""
        return cls(message.principal.platform, message.principal.tenant, message.conversation)
