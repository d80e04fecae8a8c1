"""Mail as it travels, parsed. Anything is accepted: real mail breaks every rule, and Gmail keeps it all.

Headers are decoded here, because `email`'s default policy raises for some malformed ones and takes long for others.
"""

from __future__ import annotations

import re
from contextlib import suppress
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header
from email.message import EmailMessage
from email.policy import EmailPolicy

MAX_DECODED = 10_000  # characters of a header; `email` takes time with the square of the length for a longer one
MAX_PARAMETERS = 2_000  # characters of a header that has parameters
_WITH_PARAMETERS = ("content-type", "content-disposition")
_END_OF_HEADERS = re.compile(rb"(?:\A|(?<=\n))\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])|[\r\n]+")


class _Lenient(EmailPolicy):
    """Gives every header as plain text."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        """Return a header's text, decoded."""
        text = _decoded(_FOLD.sub("", str(value)).strip())
        return text[:MAX_PARAMETERS] if name.lower() in _WITH_PARAMETERS else text


_LENIENT = _Lenient()


def parse_mail(raw: bytes) -> EmailMessage:
    """Return these bytes parsed as a message, however malformed."""
    mail = message_from_bytes(raw, policy=_LENIENT)
    assert isinstance(mail, EmailMessage)
    return mail


def parse_headers(raw: bytes) -> EmailMessage:
    """Return the headers of a message alone, as `parse_mail` reads them, without the time that a long body takes."""
    return parse_mail(_END_OF_HEADERS.split(raw, maxsplit=1)[0])


def text_of(part: EmailMessage) -> str:
    """Return a text part's text; undeclared bytes are Windows-1252 unless they are UTF-8, as Gmail takes them."""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    declared = part.get_param("charset")
    return _text(content, declared if isinstance(declared, str) else "")


def _text(content: bytes, declared: str) -> str:
    if declared.lower() not in ("us-ascii", "ascii", "iso-8859-1", "latin-1", ""):
        with suppress(LookupError, ValueError):  # no such codec, or one that is not for text
            return content.decode(declared, "replace")
    try:
        return content.decode("utf-8")
    except ValueError:
        return content.decode("cp1252", "replace")


def _decoded(value: str) -> str:
    text = _text(value.encode("utf-8", "surrogateescape"), "")
    if "=?" not in text or len(text) > MAX_DECODED:
        return text
    try:
        pieces = decode_header(text)
    except (MessageError, ValueError):
        return text
    return "".join(piece if isinstance(piece, str) else _text(piece, charset or "") for piece, charset in pieces)
