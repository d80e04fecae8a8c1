"""Messages that Deputy writes, as the Gmail API takes them, and what may stand in their headers."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from app.toolkits.gmail.message import header, headers

MAX_HEADER = 900  # characters; RFC 5322 section 2.1.1 ends a line at 998
MAX_REFERENCES = 20  # the first and the last of a long thread say enough

# What `reply` needs to know of the message that it answers.
ANSWERED_HEADERS = ("From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References")
_PARTICIPANTS = ("From", "Reply-To", "To", "Cc")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Read by hand: the parser of `email` repairs what it does not understand, and raises IndexError for "ada@".
_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]"
_ADDRESS = rf"{_LOCAL}++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++"
_RECIPIENT = re.compile(rf'\s*+(?:(?:"[^"]*+"\s*+|[^"<>@,;:]*+)<({_ADDRESS})>|({_ADDRESS}))\s*+(?:,|$)')
_RECIPIENTS = re.compile(rf"(?:{_RECIPIENT.pattern})+")
_ANY_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_ADDRESS}")  # begins where a run does, else time grows with the square
# RFC 5322 section 3.6.4, without comments and blanks. The length keeps each on a line of its own.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_RE = re.compile(r"re\s*:", re.IGNORECASE)


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
    """A Message for ``users.messages.send`` and for drafts; Gmail adds whom it is from.

    Raises:
        ValueError: An address or the subject is refused by `addresses` or `header_text`.
    """
    return {"raw": _encoded(_written(to, subject, body, cc))}


def answer(answered: Mapping[str, Any], to: str, body: str, cc: str | None) -> dict[str, str]:
    """A Message for ``users.messages.send`` that answers another, in its thread (RFC 5322 section 3.6.4).

    Args:
        answered: The message that is answered, with `ANSWERED_HEADERS`.
        to: The recipients' addresses.
        body: The plain text.
        cc: Further recipients' addresses, or None.

    Raises:
        ValueError: An address is refused by `addresses`.
    """
    subject = " ".join(_CONTROL.sub(" ", header(answered, "Subject")).split())[: MAX_HEADER - 4]
    written = _written(to, subject if _RE.match(subject) else f"Re: {subject}".rstrip(), body, cc)
    # Before the rest and by hand: `email` encodes an id that is longer than a line, and then it is another id.
    return {"raw": _encoded(_threading(answered) + written), "threadId": answered["threadId"]}


def participants(message: Mapping[str, Any]) -> frozenset[str]:
    """The addresses of those who wrote a message, got it, or are to have its answers; in lower case."""
    values = (value for name in _PARTICIPANTS for value in headers(message, name))
    return frozenset(address.lower() for value in values for address in _ANY_ADDRESS.findall(value))


def _written(to: str, subject: str, body: str, cc: str | None) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["To"] = addresses(to)
    if cc:
        mail["Cc"] = addresses(cc)
    mail["Subject"] = header_text(subject)
    mail.set_content(body)
    return mail.as_bytes()


def _threading(answered: Mapping[str, Any]) -> bytes:
    """The headers In-Reply-To and References, or nothing when the answered message has no Message-ID."""
    own = _MESSAGE_ID.findall(header(answered, "Message-ID"))[:1]
    if not own:
        return b""
    earlier = _MESSAGE_ID.findall(header(answered, "References"))
    if not earlier:
        replied = _MESSAGE_ID.findall(header(answered, "In-Reply-To"))
        earlier = replied if len(replied) == 1 else []
    references = list(dict.fromkeys([*earlier, *own]))
    kept = references[:1] + references[1:][-MAX_REFERENCES + 1 :]
    folded = "\r\n ".join(kept)
    return f"In-Reply-To: {own[0]}\r\nReferences: {folded}\r\n".encode("ascii")


def _encoded(mail: bytes) -> str:
    return base64.urlsafe_b64encode(mail).decode("ascii")
