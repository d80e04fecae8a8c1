"""Messages in the form of the Gmail API: reading what it gives and writing what it takes.

https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages#Message
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from app.toolkits.mail_text import html_to_text

SUMMARY_HEADERS = ("From", "To", "Subject")
MAX_TEXT = 300_000  # characters of a mail's text
CUT = "\n[The rest of this mail was too long and is left out.]"
MAX_HEADER = 900  # characters; RFC 5322 section 2.1.1 ends a line at 998

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Read by hand: the parser of `email` repairs what it does not understand, and raises IndexError for "ada@".
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++"
_RECIPIENT = re.compile(rf'\s*+(?:(?:"[^"]*+"\s*+|[^"<>@,;:]*+)<({_ADDRESS})>|({_ADDRESS}))\s*+(?:,|$)')
_RECIPIENTS = re.compile(rf"(?:{_RECIPIENT.pattern})+")
_HTML_START = re.compile(r"\s*<(?:!doctype|html|body|div|table)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a mail; `size` is in bytes."""

    name: str
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class MailContent:
    """What a mail says.

    Attributes:
        text: Its text, HTML turned into text; empty when there is none.
        attachments: What came with it.
    """

    text: str
    attachments: tuple[Attachment, ...]


def header(message: Mapping[str, Any], name: str) -> str:
    """The text of a message's first header of this name, or an empty one."""
    headers = message.get("payload", {}).get("headers", ())
    return next((each["value"] for each in headers if each["name"].lower() == name.lower()), "")


def received_at(message: Mapping[str, Any]) -> str:
    """When Gmail took the message, in RFC 3339; the ``Date`` header is whatever its sender wrote."""
    at = datetime.fromtimestamp(int(message["internalDate"]) / 1000, UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def snippet(message: Mapping[str, Any]) -> str:
    """The beginning of the message; Gmail escapes it as for HTML."""
    return html.unescape(message.get("snippet", ""))


def content(message: Mapping[str, Any]) -> MailContent:
    """The text and the attachments of a message in format ``full``.

    The plain text is taken unless there is none, or it is HTML itself or says next to nothing of what the HTML says.
    """
    plain: list[str] = []
    rich: list[str] = []
    attachments: list[Attachment] = []
    for part in _leaves(message.get("payload", {})):
        body, kind = part.get("body", {}), part.get("mimeType", "").lower()
        if part.get("filename") or "attachmentId" in body or kind not in ("text/plain", "text/html"):
            attachments.append(Attachment(part.get("filename", ""), kind, body.get("size", 0)))
        else:
            (plain if kind == "text/plain" else rich).append(_decoded(part))
    text = _readable("\n\n".join(plain).strip(), "\n".join(rich))
    return MailContent(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + CUT, tuple(attachments))


def addresses(text: str) -> str:
    """The bare addresses in a list such as ``Ada <ada@example.com>, bob@example.com``, separated by commas.

    Names are left out: a name can look like another address.

    Raises:
        ValueError: There is none, one is malformed, or there is a line break or a group.
    """
    wrong = ValueError("write e-mail addresses, separated by commas: ada@example.com, bob@example.com")
    if not _RECIPIENTS.fullmatch(header_text(text)):
        raise wrong
    found = dict.fromkeys(named or bare for named, bare in _RECIPIENT.findall(text))
    try:
        return ", ".join(Address(addr_spec=address).addr_spec for address in found)
    except (ValueError, MessageError):  # two dots in a row, for example
        raise wrong from None


def header_text(text: str) -> str:
    """The text, when it can be a header's.

    Raises:
        ValueError: It is too long, or holds a line break or another control character: what follows a line break
            would be a header of its own, a further recipient for example (RFC 5322 section 2.2).
    """
    if _CONTROL.search(text) or len(text.splitlines()) > 1:
        raise ValueError("no line breaks or control characters, please: this goes into a header of the mail")
    if len(text) > MAX_HEADER:
        raise ValueError(f"at most {MAX_HEADER} characters, please")
    return text


def outgoing(to: str, subject: str, body: str, cc: str | None) -> dict[str, str]:
    """A message for ``users.messages.send``; Gmail adds whom it is from.

    Raises:
        ValueError: An address or the subject is refused by `addresses` or `header_text`.
    """
    mail = EmailMessage(policy=SMTP)
    mail["To"] = addresses(to)
    if cc:
        mail["Cc"] = addresses(cc)
    mail["Subject"] = header_text(subject)
    mail.set_content(body)
    return {"raw": base64.urlsafe_b64encode(mail.as_bytes()).decode("ascii")}


def _leaves(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts that hold something, in order, however deep they are nested."""
    pending = [part]
    while pending:
        part = pending.pop()
        if parts := part.get("parts"):
            pending += reversed(parts)
        elif part.get("body", {}).get("size"):
            yield part


def _readable(plain: str, source: str) -> str:
    if _HTML_START.match(plain):
        plain, source = "", source or plain
    shown = html_to_text(source).strip()
    return shown if len(plain) * 5 < len(shown) else plain


def _decoded(part: Mapping[str, Any]) -> str:
    """A part's text. Gmail gives UTF-8 whatever the mail was written in; older mails may come as they were."""
    try:
        data = base64.urlsafe_b64decode(part["body"].get("data", "").rstrip("=") + "==")
    except binascii.Error:
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", header({"payload": part}, "Content-Type"), re.IGNORECASE)
    try:
        return data.decode(declared[1] if declared else "latin-1", "replace")
    except LookupError:  # a charset that Python does not know
        return data.decode("utf-8", "replace")
