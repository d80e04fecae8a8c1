"""What comes in from a channel, what is stored of it, and what goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.principal import Principal

MAX_TEXT_LENGTH = 40_000  # characters; Slack's own limit for one message


class MessageState(StrEnum):
    """Where an accepted message stands: ``new → running → done | parked | failed``, and ``parked → new``."""

    NEW = "new"
    RUNNING = "running"
    PARKED = "parked"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message as a channel verified and parsed it.

    Attributes:
        principal: The sender, never anybody else in the conversation.
        event_id: The platform's id of this delivery, unique within platform and tenant; a repeated one is a duplicate.
        conversation: The thread or chat, unique within platform and tenant; its messages are answered in order.
        text: What the person wrote; it shows in no `repr`.
        address: What the channel needs to answer, JSON; only the channel reads it.
        payload: What the channel calls the raw message, where it keeps it: an id, never contents.
    """

    principal: Principal
    event_id: str
    conversation: str
    text: str = field(repr=False)
    address: Mapping[str, Any] = field(default_factory=dict)
    payload: str | None = None


# A message's state and attempt: one of them differs after every change that its sender may want to know of.
Version = tuple[MessageState, int]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An accepted message as its row says.

    Attributes:
        message_id: 32 hexadecimal digits.
        sequence: 1, 2, … within its conversation.
        attempt: How often it was begun; a change made for an earlier attempt is refused.
        interruptions: How many attempts were broken off; one that ends parked is not.
        failures: How many attempts a passing fault ended, such as a busy model.
        answer: What was or is to be told, once the state is done or failed.
        link_id: The consent link that is shown with the answer.
        private: The answer is for the sender's eyes alone.
        created_at: When it was stored, POSIX seconds by the clock of whoever stored it.
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

    @property
    def version(self) -> Version:
        """The state and the attempt in which the message was read."""
        return self.state, self.attempt


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Names one conversation: two messages with an equal key are answered one after the other."""

    platform: str
    tenant: str
    conversation: str

    @classmethod
    def of(cls, message: StoredMessage | InboundMessage) -> ConversationKey:
        """The conversation that a message is part of."""
        return cls(message.principal.platform, message.principal.tenant, message.conversation)
