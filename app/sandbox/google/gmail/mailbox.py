"""One person's mail, labels and drafts."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.people import Person

SYSTEM_LABELS = (
    "INBOX", "UNREAD", "STARRED", "IMPORTANT", "SENT", "DRAFT", "TRASH", "SPAM", "CHAT",
    "CATEGORY_PERSONAL", "CATEGORY_SOCIAL", "CATEGORY_PROMOTIONS", "CATEGORY_UPDATES", "CATEGORY_FORUMS",
)  # fmt: skip
FIXED_LABELS = frozenset({"SENT", "DRAFT", "CHAT"})  # Gmail alone sets and removes these
HIDDEN_LABELS = frozenset({"TRASH", "SPAM"})


@dataclass(frozen=True, slots=True)
class Label:
    """A label; a system label's id is its name, a person's own has an id such as ``Label_3``."""

    id: str
    name: str
    label_list_visibility: str | None = None
    message_list_visibility: str | None = None

    @property
    def system(self) -> bool:
        """Whether Gmail made it."""
        return self.id in SYSTEM_LABELS


class Mailbox:
    """One person's mail. Lives with the sandbox.

    Attributes:
        person: Whose mail it is.
        labels: The labels by id.
        drafts: The draft messages' ids by draft id.
        history_id: How many changes there were.
    """

    def __init__(self, person: Person) -> None:
        self.person = person
        self.labels = {name: Label(name, name) for name in SYSTEM_LABELS}
        self.drafts: dict[str, str] = {}
        self.history_id = 1
        self._messages: dict[str, MailboxMessage] = {}
        self._labels_made = 0

    def __iter__(self) -> Iterator[MailboxMessage]:
        """Iterate over the messages, trash and drafts included, newest first."""
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def messages(self) -> list[MailboxMessage]:
        """The messages, trash and drafts included, newest first."""
        return sorted(self._messages.values(), key=lambda message: (message.at, message.id), reverse=True)

    def get(self, message_id: str) -> MailboxMessage | None:
        """Return the message with this id, or None."""
        return self._messages.get(message_id)

    def thread(self, thread_id: str) -> list[MailboxMessage]:
        """Return a thread's messages, oldest first; empty if there is no such thread."""
        return [message for message in reversed(self.messages) if message.thread_id == thread_id]

    def store(self, raw: bytes, label_ids: Iterable[str], at: float, thread_id: str | None = None) -> MailboxMessage:
        """Keep a message under a fresh id; without a thread id it joins the thread of a message that it refers to.

        Args:
            raw: The message as RFC 5322 has it.
            label_ids: Its labels.
            at: When it came, in seconds since the epoch.
            thread_id: Which thread it joins.
        """
        message_id = secrets.token_hex(8)
        self.history_id += 1
        message = MailboxMessage(
            message_id, thread_id or message_id, raw, frozenset(label_ids), int(at * 1000), self.history_id
        )
        if thread_id is None and (joined := self._thread_of(message)):
            message = replace(message, thread_id=joined)
        self._messages[message_id] = message
        return message

    def relabel(self, message: MailboxMessage, add: Iterable[str] = (), remove: Iterable[str] = ()) -> MailboxMessage:
        """Add labels to a message, then remove others; return the message that replaces it in the mailbox."""
        self.history_id += 1
        label_ids = (message.label_ids | set(add)) - set(remove)
        changed = replace(message, label_ids=label_ids, history_id=self.history_id)
        self._messages[message.id] = changed
        return changed

    def discard(self, message_id: str) -> None:
        """Delete a message for good."""
        self.history_id += 1
        del self._messages[message_id]

    def add_label(self, name: str, label_list_visibility: str | None, message_list_visibility: str | None) -> Label:
        """Add a label made by the person, and return it."""
        self._labels_made += 1
        label = Label(f"Label_{self._labels_made}", name, label_list_visibility, message_list_visibility)
        self.labels[label.id] = label
        return label

    def remove_label(self, label: Label) -> None:
        """Delete a label of the person's, and take it off every message."""
        del self.labels[label.id]
        for message in self.messages:
            if label.id in message.label_ids:
                self.relabel(message, remove={label.id})

    def _thread_of(self, message: MailboxMessage) -> str | None:
        referred = re.findall(r"<[^<>\s]+>", f"{message.header('In-Reply-To')} {message.header('References')}")
        known = {other.message_id: other.thread_id for other in self._messages.values()} if referred else {}
        return next((known[message_id] for message_id in referred if message_id in known), None)
