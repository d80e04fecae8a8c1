"""The content of a mail: its text as a mail program shows it, the mails attached to it, and its files.

Which parts belong to the text follows from how they are nested (RFC 2046): of alternatives one is shown, parts of a
mixed mail one after the other, and an attached message is a mail of its own, with its own sender.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import ToolError
from app.toolkits.charsets import decoded
from app.toolkits.gmail.message import header
from app.toolkits.html_text import html_to_text
from app.toolkits.shapes import mapping, number, objects, text

MAX_TEXT = 300_000  # characters of a mail's text
CUT = "\n[The rest of this mail was too long and is left out.]"
UNREADABLE = "[A part of this mail could not be decoded.]"
TOO_DEEP = "[Parts of this mail are nested too deeply to be read here.]"
MAX_DEPTH = 50  # parts in one another; mail programs make five
MAX_ENCLOSED = 20  # mails in a mail, however nested
MAX_BODY_BYTES = 1_000_000  # of a text that Gmail keeps apart; a longer one is an attachment
_SAME_WORDS = 0.6  # of the words of two alternatives; below that they say different things

_HTML_START = re.compile(r"\s{0,100}+<(?:!doctype|html|body|div|table)\b", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s{0,9}+=\s{0,9}+["']?([\w.:+-]{1,40}+)""", re.IGNORECASE)
_START = re.compile(r"""\bstart\s{0,9}+=\s{0,9}+["']?(<[^<>"']{1,300}+>)""", re.IGNORECASE)
_WORD = re.compile(r"\w++")
_SHOWN = ("text/plain", "text/html", "text/enriched", "text/markdown")

# Text that comes under other names: Outlook sends tables, data and invitations as application/*.
_TEXT_TYPES = frozenset(
    {
        "json",
        "xml",
        "csv",
        "ics",
        "calendar",
        "yaml",
        "x-yaml",
        "javascript",
        "sql",
        "x-ndjson",
        "rtf",
        "toml",
        "pgp-keys",
    }
)
_TEXT_ENDINGS = (
    *(".txt", ".csv", ".tsv", ".json", ".ics", ".vcf", ".md", ".log", ".xml", ".html", ".htm", ".yaml", ".yml"),
    *(".eml", ".ini", ".conf", ".sql", ".srt", ".toml", ".rst", ".tex", ".jsonl", ".diff", ".patch"),
)


@dataclass(frozen=True, slots=True)
class MailAttachment:
    """A file that came with a mail; `part_id` is its place there, such as ``0.1``, and `size` is in bytes."""

    part_id: str
    name: str = field(repr=False)
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class MailContent:
    """The content of a mail. An immutable value.

    Attributes:
        text: Its text, converted from HTML if necessary; may be empty.
        attachments: The files that came with it; attached mails are in `enclosed`.
        hid: Whether text was left out because a reader would not see it.
        differs: Whether its plain and formatted versions say different things.
        enclosed: The mails attached to it, each with its headers as a message of the API has them.
    """

    text: str = field(repr=False)
    attachments: tuple[MailAttachment, ...]
    hid: bool = False
    differs: bool = False
    enclosed: tuple[tuple[Mapping[str, Any], MailContent], ...] = field(default=(), repr=False)


def content(message: Mapping[str, Any], fetched: Mapping[str, str] | None = None) -> MailContent:
    """Return the content of a message in format ``full``; never raises.

    Args:
        message: The message.
        fetched: The data of the parts that `kept_apart` names, by their attachment ids.
    """
    return _Reading(fetched or {}).read(mapping(message, "payload"))


def kept_apart(message: Mapping[str, Any]) -> list[str]:
    """Return the attachment ids of the parts that belong to the text, but that Gmail keeps apart."""
    bodies = (mapping(part, "body") for part in _leaves(mapping(message, "payload")) if _is_shown(part))
    return [text(each, "attachmentId") for each in bodies if text(each, "attachmentId") and not text(each, "data")]


def attached_part(message: Mapping[str, Any], part_id: str) -> Mapping[str, Any] | None:
    """Return the part of a message in format ``full`` that `MailAttachment.part_id` names, or None."""
    return next((part for part in _leaves(mapping(message, "payload")) if text(part, "partId") == part_id), None)


def attached_text(part: Mapping[str, Any], data: str) -> str:
    """Return the text of an attached part, HTML turned into text; `data` is its content in base64url."""
    found = _decoded(part, data)
    kind = text(part, "mimeType").lower()
    return html_to_text(found).text.strip() if kind in ("text/html", "application/xhtml+xml") else found


def may_be_text(part: Mapping[str, Any]) -> bool:
    """Return whether a part says that it is a text, by its type or its name."""
    kind, _, subtype = text(part, "mimeType").lower().partition("/")
    if kind in ("text", "message"):
        return True
    is_named = text(part, "filename").lower().endswith(_TEXT_ENDINGS)
    return kind == "application" and (is_named or subtype in _TEXT_TYPES or subtype.endswith(("+json", "+xml")))


def decoded_bytes(data: str) -> bytes:
    """Return contents that the API gives in base64url.

    Raises:
        ToolError: They are not.
    """
    try:
        return base64.urlsafe_b64decode(data.rstrip("=") + "==")
    except (binascii.Error, ValueError):
        raise ToolError("Gmail gave this attachment in a form that I cannot read") from None


def part_header(part: Mapping[str, Any], name: str) -> str:
    """Return the first header of this name of a part, or an empty text."""
    return header({"payload": part}, name)


class _Reading:
    """Reads one mail, and the mails in it. Lives for the reading."""

    def __init__(self, fetched: Mapping[str, str]) -> None:
        self._fetched = fetched
        self._room = MAX_ENCLOSED

    def read(self, payload: Mapping[str, Any], depth: int = 0) -> MailContent:
        """Return the content of a message, starting at its topmost part."""
        found = self._part(payload, depth)
        shown = found.text.strip("\n").rstrip()
        return MailContent(
            shown if len(shown) <= MAX_TEXT else shown[:MAX_TEXT] + CUT,
            found.attachments,
            found.hid,
            found.differs,
            found.enclosed,
        )

    def _part(self, part: Mapping[str, Any], depth: int) -> MailContent:
        parts = objects(part, "parts")
        kind = text(part, "mimeType").lower()
        while len(parts) == 1 and kind.startswith("multipart/"):  # says no more than what is in it
            part = parts[0]
            parts, kind = objects(part, "parts"), text(part, "mimeType").lower()
        if depth > MAX_DEPTH:
            return MailContent(TOO_DEEP, ())
        if kind == "message/rfc822" and parts:
            return self._message(part, parts, depth)
        if not parts:
            return self._leaf(part, kind)
        read = [self._part(each, depth + 1) for each in parts]
        if kind == "multipart/alternative":
            return _chosen(read)
        if kind == "multipart/related":
            return _rooted(part, parts, read)
        return _together(read)

    def _message(self, part: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], depth: int) -> MailContent:
        """Return an attached message: a mail of its own, which adds nothing to the text around it."""
        if self._room <= 0:
            return MailContent("", (_attachment(part),))
        self._room -= 1
        inner = parts[0] if len(parts) == 1 else {**part, "mimeType": "multipart/mixed"}
        return MailContent("", (), enclosed=(({"payload": inner}, self.read(inner, depth + 1)),))

    def _leaf(self, part: Mapping[str, Any], kind: str) -> MailContent:
        body = mapping(part, "body")
        data = text(body, "data") or self._fetched.get(text(body, "attachmentId"), "")
        if not _is_shown(part) or (not data and text(body, "attachmentId")):
            return MailContent("", (_attachment(part),) if _holds_something(part) else ())
        found = _decoded(part, data)
        if kind == "text/html" or _HTML_START.match(found):
            shown = html_to_text(found)
            return MailContent(shown.text, (), hid=shown.hid)
        return MailContent(found, ())


def _chosen(read: Sequence[MailContent]) -> MailContent:
    """Return the alternative that a mail program shows: the last one with text; files of all of them are kept."""
    speaking = [each for each in read if each.text.strip()]
    shown = speaking[-1] if speaking else MailContent("", ())
    others = (_similarity(each.text, shown.text) for each in speaking[:-1])
    return _joined(shown.text, read, differs=any(each < _SAME_WORDS for each in others), hid=shown.hid)


def _rooted(part: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], read: Sequence[MailContent]) -> MailContent:
    """Return the root of a multipart/related (RFC 2387); what it refers to is attached, text or not."""
    start = _START.search(part_header(part, "Content-Type")[:2000])
    ids = [part_header(each, "Content-ID").strip() for each in parts]
    root = ids.index(start[1]) if start and start[1] in ids else 0
    referred = [
        MailContent("", (_attachment(each),) if not objects(each, "parts") else found.attachments)
        if index != root and not found.enclosed
        else found
        for index, (each, found) in enumerate(zip(parts, read, strict=True))
    ]
    return _joined(read[root].text, referred, hid=read[root].hid)


def _together(read: Sequence[MailContent]) -> MailContent:
    """Join parts that follow one another."""
    shown = "\n\n".join(each.text.strip("\n") for each in read if each.text.strip())
    return _joined(shown, read, hid=any(each.hid for each in read))


def _joined(shown: str, read: Sequence[MailContent], *, hid: bool, differs: bool = False) -> MailContent:
    return MailContent(
        shown,
        tuple(attachment for each in read for attachment in each.attachments),
        hid,
        differs or any(each.differs for each in read),
        tuple(mail for each in read for mail in each.enclosed),
    )


def _similarity(one: str, other: str) -> float:
    """Return the share of the shorter text's words that the other one contains, from 0 to 1."""
    words, others = set(_WORD.findall(one.casefold())), set(_WORD.findall(other.casefold()))
    if not words or not others:
        return 1.0
    return len(words & others) / min(len(words), len(others))


def _leaves(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts that have content, in order, at any depth."""
    pending = [part]
    while pending:
        part = pending.pop()
        if parts := objects(part, "parts"):
            pending += reversed(parts)
        elif _holds_something(part):
            yield part


def _holds_something(part: Mapping[str, Any]) -> bool:
    body = mapping(part, "body")
    return bool(number(body, "size") or text(body, "data") or text(body, "attachmentId"))


def _is_shown(part: Mapping[str, Any]) -> bool:
    """Return whether a part is text that a mail program shows in place, wherever Gmail keeps it."""
    attached = part_header(part, "Content-Disposition").strip().lower().startswith("attachment")
    if text(part, "filename") or attached or text(part, "mimeType").lower() not in _SHOWN:
        return False
    body = mapping(part, "body")
    return not text(body, "attachmentId") or number(body, "size") <= MAX_BODY_BYTES


def _attachment(part: Mapping[str, Any]) -> MailAttachment:
    kind = text(part, "mimeType").lower()
    return MailAttachment(text(part, "partId"), text(part, "filename"), kind, number(mapping(part, "body"), "size"))


def _decoded(part: Mapping[str, Any], encoded: str) -> str:
    try:
        data = base64.urlsafe_b64decode(encoded.rstrip("=") + "==")
    except (binascii.Error, ValueError):
        return UNREADABLE
    declared = _CHARSET.search(part_header(part, "Content-Type")[:2000])
    return decoded(data, declared[1] if declared else "")
