"""One message in a mailbox, and how the Gmail API shows it.

https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages#Message
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import getaddresses
from functools import cached_property
from typing import Any

from app.sandbox.google.gmail.mime import parse_headers, parse_mail, text_of

SNIPPET_LENGTH = 200  # characters
MAX_INLINE = 100_000  # bytes of a text; a larger part is fetched by an attachment's id, like a file
_INVISIBLE = re.compile(r"<(script|style|title)\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*+>")


@dataclass(frozen=True)
class MailboxMessage:
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

    @cached_property
    def headers(self) -> EmailMessage:
        """The message's headers, parsed; its body is left out."""
        return parse_headers(self.raw)

    def header(self, name: str) -> str:
        """Return a header's text, or an empty string."""
        return str(self.headers.get(name, ""))

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
        """Return the bare addresses in these headers, in lower case."""
        return addresses_in(self.headers, *headers)

    @cached_property
    def body(self) -> str:
        """The text that a person reads: the plain text, or else the HTML's."""
        texts = [part for _, part in _leaves(self.mail) if not _is_file(part)]
        for kind in ("text/plain", "text/html"):
            for part in texts:
                if part.get_content_type() == kind:
                    return text_of(part) if kind == "text/plain" else _without_tags(text_of(part))
        return ""

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
        """Return the API's Message in one of its formats: ``minimal``, ``metadata``, ``full`` or ``raw``."""
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
            headers = [each for each in _headers(self.headers) if not wanted or each["name"].lower() in wanted]
            resource["payload"] = {"mimeType": self.headers.get_content_type(), "headers": headers}
        elif form == "full":
            resource["payload"] = self._part(self.mail, "")
        return resource

    def attachment(self, attachment_id: str) -> bytes | None:
        """Return the content of the attachment with this id, or None."""
        for part_id, part in _parts(self.mail):
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
            body: dict[str, Any] = {"size": 0}
            if part.get_content_type() == "message/rfc822":  # an attachment as well, whole
                body = {"size": len(_content(part)), "attachmentId": self._attachment_id(part_id)}
            return {**resource, "body": body, "parts": children}
        content = _content(part)
        body = {"size": len(content)}
        if _is_file(part) or len(content) > MAX_INLINE:
            body["attachmentId"] = self._attachment_id(part_id)
        else:
            body["data"] = base64.urlsafe_b64encode(content).decode()
        return {**resource, "body": body}

    def _attachment_id(self, part_id: str) -> str:
        return base64.urlsafe_b64encode(f"{self.id}/{part_id}".encode()).decode()


def addresses_in(mail: EmailMessage, *headers: str) -> list[str]:
    """Return the bare addresses in these headers, in lower case."""
    values = [str(value) for name in headers for value in mail.get_all(name, [])]
    return [address.lower() for _, address in getaddresses(values) if "@" in address]


def normalised(text: str) -> str:
    """Return a text's words in lower case, each between single spaces, so that ``in`` finds whole words and phrases."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return f" {' '.join(words)} "


def _headers(part: EmailMessage) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in part.items()]


def _children(part: EmailMessage) -> list[EmailMessage]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, EmailMessage)] if isinstance(payload, list) else []


def _child_id(part_id: str, index: int) -> str:
    return f"{part_id}.{index}" if part_id else str(index)


def _parts(part: EmailMessage, part_id: str = "") -> Iterator[tuple[str, EmailMessage]]:
    yield part_id, part
    for index, child in enumerate(_children(part)):
        yield from _parts(child, _child_id(part_id, index))


def _leaves(part: EmailMessage) -> Iterator[tuple[str, EmailMessage]]:
    return ((part_id, each) for part_id, each in _parts(part) if not each.is_multipart())


def _is_file(part: EmailMessage) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _content(part: EmailMessage) -> bytes:
    """Return a part's content; text is always converted to UTF-8."""
    if part.get_content_maintype() == "text" and not _is_file(part):
        return text_of(part).encode()
    if part.get_content_type() == "message/rfc822" and (inner := _children(part)):
        return inner[0].as_bytes()
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _without_tags(source: str) -> str:
    """Return the text of some HTML, accurate enough for a search, in time linear in its length."""
    kept, position = [], 0
    while match := _INVISIBLE.search(source, position):
        kept.append(source[position : match.start()])
        end = source.lower().find(f"</{match[1].lower()}", match.end()) if len(kept) < 100 else -1
        position = end if end >= 0 else len(source)
    return html.unescape(_TAG.sub(" ", "".join([*kept, source[position:]])))
