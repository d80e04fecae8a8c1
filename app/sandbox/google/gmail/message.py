"""One message in a mailbox, and how the Gmail API shows it.

https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages#Message
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import default
from email.utils import getaddresses
from functools import cached_property
from typing import Any

from bs4 import BeautifulSoup

SNIPPET_LENGTH = 200  # characters
_INVISIBLE = ("script", "style", "head", "title")


@dataclass(frozen=True)
class StoredMessage:
    """One message of one person. It never changes: a mailbox replaces it when its labels change.

    Attributes:
        id: 16 hexadecimal digits, unique in the sandbox.
        thread_id: The id of the thread's first message in this mailbox.
        raw: The message as RFC 5322 has it; all else about it is read from here.
        label_ids: The labels that it carries.
        at: When it arrived or was sent, in milliseconds since the epoch.
        history_id: The mailbox's count of changes when this one was last changed.
    """

    id: str
    thread_id: str
    raw: bytes = field(repr=False)
    label_ids: frozenset[str]
    at: int
    history_id: int

    @cached_property
    def mail(self) -> EmailMessage:
        """The message, parsed."""
        return parse_mail(self.raw)

    def header(self, name: str) -> str:
        """A header's text, or an empty one."""
        return str(self.mail.get(name, ""))

    @property
    def subject(self) -> str:
        """The subject."""
        return self.header("Subject")

    @property
    def sender(self) -> str:
        """The bare address that it is from."""
        return next(iter(self.addresses("From")), "")

    @cached_property
    def message_id(self) -> str:
        """The Message-ID that its sender gave it, the same in every mailbox."""
        return self.header("Message-ID").strip()

    def addresses(self, *headers: str) -> list[str]:
        """The bare addresses in these headers, in lower case."""
        return addresses_in(self.mail, *headers)

    @cached_property
    def body(self) -> str:
        """The text that a person reads: the plain text, or the HTML's where there is none."""
        part = self.mail.get_body(("plain", "html"))
        if part is None:
            return ""
        text = _text_of(part)
        if part.get_content_type() != "text/html":
            return text
        soup = BeautifulSoup(text, "html.parser")
        for tag in soup(_INVISIBLE):
            tag.decompose()
        return soup.get_text(" ")

    @property
    def snippet(self) -> str:
        """The beginning of the body, in one line."""
        return " ".join(self.body.split())[:SNIPPET_LENGTH].strip()

    @property
    def attachments(self) -> list[EmailMessage]:
        """The attached parts."""
        return [part for _, part in _leaves(self.mail) if part.get_filename()]

    @cached_property
    def words(self) -> str:
        """All that a search looks at, each word in lower case between single spaces."""
        names = " ".join(part.get_filename() or "" for part in self.attachments)
        headers = " ".join(self.header(name) for name in ("Subject", "From", "To", "Cc"))
        return normalised(f"{headers} {self.body} {names}")

    def resource(self, form: str, only_headers: Collection[str] = (), *, with_snippet: bool = True) -> dict[str, Any]:
        """The API's Message in one of its formats: ``minimal``, ``metadata``, ``full`` or ``raw``."""
        resource: dict[str, Any] = {
            "id": self.id,
            "threadId": self.thread_id,
            "labelIds": sorted(self.label_ids),
            "sizeEstimate": len(self.raw),
            "historyId": str(self.history_id),
            "internalDate": str(self.at),
        }
        if with_snippet:
            resource["snippet"] = self.snippet
        if form == "raw":
            resource["raw"] = base64.urlsafe_b64encode(self.raw).decode()
        elif form == "metadata":
            wanted = {name.lower() for name in only_headers}
            headers = [each for each in _headers(self.mail) if not wanted or each["name"].lower() in wanted]
            resource["payload"] = {"mimeType": self.mail.get_content_type(), "headers": headers}
        elif form == "full":
            resource["payload"] = self._part(self.mail, "")
        return resource

    def attachment(self, attachment_id: str) -> bytes | None:
        """The content of an attachment, or None when there is none of this id."""
        for part_id, part in _leaves(self.mail):
            if attachment_id == self._attachment_id(part_id):
                return _content(part)
        return None

    def _part(self, part: EmailMessage, part_id: str) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "partId": part_id,
            "mimeType": part.get_content_type(),
            "filename": part.get_filename() or "",
            "headers": _headers(part),
        }
        if part.is_multipart():
            children = [self._part(child, _child_id(part_id, index)) for index, child in enumerate(_children(part))]
            return {**resource, "body": {"size": 0}, "parts": children}
        content = _content(part)
        body: dict[str, Any] = {"size": len(content)}
        if part.get_filename():
            body["attachmentId"] = self._attachment_id(part_id)
        else:
            body["data"] = base64.urlsafe_b64encode(content).decode()
        return {**resource, "body": body}

    def _attachment_id(self, part_id: str) -> str:
        return base64.urlsafe_b64encode(f"{self.id}/{part_id}".encode()).decode()


def parse_mail(raw: bytes) -> EmailMessage:
    """The message that these bytes are; the parser takes anything and notes what is wrong with it."""
    return message_from_bytes(raw, policy=default)


def addresses_in(mail: EmailMessage, *headers: str) -> list[str]:
    """The bare addresses in these headers, in lower case."""
    values = [str(value) for name in headers for value in mail.get_all(name, [])]
    return [address.lower() for _, address in getaddresses(values) if "@" in address]


def normalised(text: str) -> str:
    """A text's words in lower case, each between single spaces, so that ``in`` finds whole words and phrases."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return f" {' '.join(words)} "


def _headers(part: EmailMessage) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in part.items()]


def _children(part: EmailMessage) -> list[EmailMessage]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, EmailMessage)] if isinstance(payload, list) else []


def _child_id(part_id: str, index: int) -> str:
    return f"{part_id}.{index}" if part_id else str(index)


def _leaves(part: EmailMessage, part_id: str = "") -> Iterator[tuple[str, EmailMessage]]:
    if not part.is_multipart():
        yield part_id, part
    for index, child in enumerate(_children(part)):
        yield from _leaves(child, _child_id(part_id, index))


def _content(part: EmailMessage) -> bytes:
    """A part's content; a text's in UTF-8, whatever it was sent in."""
    if part.get_content_maintype() == "text" and not part.get_filename():
        return _text_of(part).encode()
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text_of(part: MIMEPart) -> str:
    content = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    try:
        return content.decode(charset, "replace") if isinstance(content, bytes) else ""
    except LookupError:  # a charset that Python does not know
        return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
