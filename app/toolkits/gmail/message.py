"""Messages as the Gmail API gives them.

https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages#Message
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.toolkits.mail_text import html_to_text

SUMMARY_HEADERS = ("From", "To", "Subject")
MAX_TEXT = 300_000  # characters of a mail's text
CUT = "\n[The rest of this mail was too long and is left out.]"
MAX_SHOWN = 500  # characters of one header: a mail can name a thousand recipients

_HTML_START = re.compile(r"\s*<(?:!doctype|html|body|div|table)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a mail; `part_id` is its place there, such as ``0.1``, and `size` is in bytes."""

    part_id: str
    name: str = field(repr=False)
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class MailContent:
    """What a mail says.

    Attributes:
        text: Its text, HTML turned into text; empty when there is none.
        attachments: What came with it.
    """

    text: str = field(repr=False)
    attachments: tuple[Attachment, ...]


def header(message: Mapping[str, Any], name: str) -> str:
    """The text of a message's first header of this name, or an empty one."""
    return next(iter(headers(message, name)), "")


def headers(message: Mapping[str, Any], name: str) -> list[str]:
    """The texts of all of a message's headers of this name, in order."""
    named = message.get("payload", {}).get("headers", ())
    return [each["value"] for each in named if each["name"].lower() == name.lower()]


def shown_header(message: Mapping[str, Any], name: str) -> str:
    """As `header`, cut to a length that leaves room for the mail."""
    text = header(message, name)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} […]"


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
            attachments.append(Attachment(part.get("partId", ""), part.get("filename", ""), kind, body.get("size", 0)))
        else:
            (plain if kind == "text/plain" else rich).append(_decoded(part, body.get("data", "")))
    text = _readable("\n\n".join(plain).strip(), "\n".join(rich))
    return MailContent(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + CUT, tuple(attachments))


def attached_part(message: Mapping[str, Any], part_id: str) -> Mapping[str, Any] | None:
    """The part of a message in format ``full`` that `Attachment.part_id` names, or None."""
    return next((part for part in _leaves(message.get("payload", {})) if part.get("partId", "") == part_id), None)


def attached_text(part: Mapping[str, Any], data: str) -> str:
    """The text of an attached part, HTML turned into text; `data` is its content in base64url."""
    text = _decoded(part, data)
    return html_to_text(text).strip() if part.get("mimeType", "").lower() == "text/html" else text


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


def _decoded(part: Mapping[str, Any], encoded: str) -> str:
    """A part's text. Gmail gives UTF-8 whatever the mail was written in; files and older mails come as they were."""
    try:
        data = base64.urlsafe_b64decode(encoded.rstrip("=") + "==")
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
