"""The post office: who has which mailbox, and how mail gets from one into another."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, formataddr, make_msgid
from functools import cached_property

from app.sandbox.google.api import ApiError, ApiRequest
from app.sandbox.google.gmail.letters import write_letters
from app.sandbox.google.gmail.mailbox import Mailbox
from app.sandbox.google.gmail.message import MailboxMessage, addresses_in
from app.sandbox.google.gmail.mime import parse_headers
from app.sandbox.people import SandboxPeople

_RECIPIENTS = ("To", "Cc", "Bcc")
_MOST_SENT = 25 * 1024 * 1024  # bytes: https://support.google.com/mail/answer/6584
_ARRIVED = frozenset({"INBOX", "UNREAD"})


class PostOffice:
    """Everybody's mailbox. Lives with the sandbox.

    Args:
        people: Whose mailboxes there are.
        now: The clock, in seconds since the epoch.
        marked: Whether the letters that the people find hold markers.

    Attributes:
        now: The clock, in seconds since the epoch.
    """

    def __init__(self, people: SandboxPeople, now: Callable[[], float], *, marked: bool) -> None:
        self.now = now
        self._marked = marked
        self._people = people

    @cached_property
    def mailboxes(self) -> Mapping[str, Mailbox]:
        """The mailboxes by their owners' addresses; their content is written when one is first opened."""
        mailboxes = {email: Mailbox(person) for email, person in self._people.items()}
        everybody = list(self._people.values())
        letters = [
            letter
            for index, person in enumerate(everybody)
            for letter in write_letters(
                person, everybody[index - 1] if len(everybody) > 1 else None, self.now(), marked=self._marked
            )
        ]
        for letter in sorted(letters, key=lambda letter: letter.at):
            _deliver(mailboxes, letter.raw, letter.label_ids, letter.at)
        return mailboxes

    def mailbox_of(self, request: ApiRequest) -> Mailbox:
        """Return the caller's own mailbox.

        Raises:
            ApiError: The call names another account than the bearer's.
        """
        user_id, email = request.parameters["userId"], request.person.email
        if user_id not in ("me", email):
            raise ApiError(403, f"Delegation denied for {email}", "forbidden")
        return self.mailboxes[email]

    def raw_of(self, request: ApiRequest, encoded: str | None) -> bytes:
        """Return the message that a call brings: uploaded, or in base64url; completed with From, Date and Message-ID.

        Raises:
            ApiError: The call brings no message, or its sender is somebody else.
        """
        if request.media is not None:
            raw = request.media.content
        else:
            try:
                raw = base64.urlsafe_b64decode((encoded or "") + "=" * (-len((encoded or "").rstrip("=")) % 4))
            except binascii.Error:
                raise ApiError(400, "Invalid value for ByteString: raw") from None
        if len(raw) > _MOST_SENT:
            raise ApiError(400, "Message size exceeds the limit.", "invalidArgument")
        mail = parse_headers(raw)
        if not raw or not mail.keys():
            raise ApiError(400, "'raw' RFC822 payload message string or uploading message via /upload/* URL required")
        if mail.get_all("From") and addresses_in(mail, "From") != [request.person.email]:
            raise ApiError(400, "Invalid From header: it is not the account's own address.")
        added = {
            "From": formataddr((request.person.name, request.person.email)),
            "Date": format_datetime(datetime.fromtimestamp(self.now(), UTC)),
            "Message-ID": make_msgid(domain="mail.sandbox.example"),
        }
        return "".join(f"{name}: {value}\r\n" for name, value in added.items() if name not in mail).encode() + raw

    def send(self, mailbox: Mailbox, raw: bytes, thread_id: str | None) -> MailboxMessage:
        """Send a message, and return the copy in the sender's SENT.

        Raises:
            ApiError: It has no recipient, or the sender has no such thread.
        """
        if not addresses_in(parse_headers(raw), *_RECIPIENTS):
            raise ApiError(400, "Recipient address required")
        if thread_id and not mailbox.thread(thread_id):
            raise ApiError(404, "Requested entity was not found.", "notFound")
        sent = _deliver(self.mailboxes, raw, _ARRIVED, self.now(), thread_id)
        assert sent is not None
        return sent


def _deliver(
    mailboxes: Mapping[str, Mailbox], raw: bytes, label_ids: Iterable[str], at: float, thread_id: str | None = None
) -> MailboxMessage | None:
    """Put the message into its sender's mailbox and that of each recipient who has one; return the sender's copy."""
    mail = parse_headers(raw)
    sender, recipients = addresses_in(mail, "From")[0], set(addresses_in(mail, *_RECIPIENTS))
    for email in recipients & mailboxes.keys() - {sender}:
        mailboxes[email].store(_without_bcc(raw), label_ids, at)
    if sender not in mailboxes:
        return None
    to_self = label_ids if sender in recipients else ()
    return mailboxes[sender].store(raw, {"SENT", *to_self}, at, thread_id)


def _without_bcc(raw: bytes) -> bytes:
    head, blank, body = (
        re.split(rb"(\r?\n\r?\n)", raw, maxsplit=1) if re.search(rb"\r?\n\r?\n", raw) else (raw, b"", b"")
    )
    return re.sub(rb"(?im)^bcc:.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", b"", head + b"\n").rstrip(b"\r\n") + blank + body
