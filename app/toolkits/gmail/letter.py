"""Messages that Deputy writes, in the form of the Gmail API, and the checks on their headers and text.

Only approved text is sent: each message is parsed again and compared, every header and the body, before it leaves.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any

from app.errors import ToolError
from app.toolkits.gmail.message import header, headers, text

MAX_HEADER = 900  # characters; RFC 5322 section 2.1.1 ends a line at 998
MAX_REFERENCES = 20  # the first and the last of a long thread say enough

# The headers that `reply` needs of the message that it answers.
ANSWERED_HEADERS = ("From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References")
_PARTICIPANTS = ("From", "Reply-To", "To", "Cc")
_ENCODED_BYTES = 45  # in one encoded word, which may have 75 characters (RFC 2047 section 2)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
# Read by hand: the parser of `email` repairs what it does not understand, and raises IndexError for "ada@".
_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]"
_ADDRESS = rf"{_LOCAL}++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++"
_RECIPIENT = re.compile(rf'\s*+(?:(?:"[^"]*+"\s*+|[^"<>@,;:]*+)<({_ADDRESS})>|({_ADDRESS}))\s*+(?:,|$)')
_RECIPIENTS = re.compile(rf"(?:{_RECIPIENT.pattern})++")
_ANY_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_ADDRESS}")  # begins where a run does, else time grows with the square
# RFC 5322 section 3.6.4, without comments and blanks. The length keeps each on a line of its own.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}+>")
_RE = re.compile(r"re\s{0,9}+:", re.IGNORECASE)


def addresses(text: str) -> str:
    """Return the bare addresses in a list such as ``Ada <ada@example.com>, bob@example.com``, separated by commas.

    Names are left out: a name can look like another address.

    Raises:
        ValueError: The list is empty, an address is malformed, or there is a line break or a group.
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
    """Return the text if it can be the value of a header.

    Raises:
        ValueError: It is too long, or holds a line break or another control character: what follows a line break
            would be a header of its own, a further recipient for example (RFC 5322 section 2.2).
    """
    if _CONTROL.search(text) or len(text.splitlines()) > 1:
        raise ValueError("no line breaks or control characters, please: this goes into a header of the mail")
    if len(text) > MAX_HEADER:
        raise ValueError(f"at most {MAX_HEADER} characters, please")
    return text


def body_text(text: str) -> str:
    r"""Return the text with ``\n`` as its line breaks, if it can be the body of a mail.

    Raises:
        ValueError: It holds a control character, which no mail program shows.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROL_IN_TEXT.search(lines):
        raise ValueError("no control characters, please: nobody would see them")
    return lines


def outgoing(
    to: str,
    subject: str,
    body: str,
    cc: str | None,
    bcc: str | None = None,
    *,
    answers: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return a Message for ``users.messages.send`` and for drafts; Gmail adds its sender.

    Args:
        to: The recipients' addresses.
        subject: The subject.
        body: The plain text.
        cc: Further recipients' addresses, or None.
        bcc: Those whom the others do not see, or None.
        answers: The message that it answers, with `ANSWERED_HEADERS`, or None.

    Raises:
        ValueError: An address, the subject or the text is refused by `addresses`, `header_text` or `body_text`.
        ToolError: The message would be read as something else than these.
    """
    recipients = [(name, addresses(each)) for name, each in (("To", to), ("Cc", cc), ("Bcc", bcc)) if each]
    fields = [*_threading(answers or {}), *recipients, ("Subject", header_text(subject))]
    mail = EmailMessage(policy=SMTP)
    mail.set_content(body_text(body))
    # Written by hand: `email` sends a text that looks like an encoded word as one, and encodes ids that are long.
    raw = b"".join(f"{name}: {_written(name, value)}\r\n".encode("ascii") for name, value in fields) + mail.as_bytes()
    _read_back(raw, fields, body_text(body))
    thread = {"threadId": text(answers, "threadId")} if answers and text(answers, "threadId") else {}
    return {"raw": base64.urlsafe_b64encode(raw).decode("ascii"), **thread}


def answering_subject(answered: Mapping[str, Any]) -> str:
    """Return the subject of an answer to a message: its own, with ``Re:`` before it."""
    subject = " ".join(_CONTROL.sub(" ", header(answered, "Subject")).split())[: MAX_HEADER - 4]
    return subject if _RE.match(subject) else f"Re: {subject}".rstrip()


def participants(message: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses of a message's senders, recipients and reply-to, in lower case."""
    values = (value for name in _PARTICIPANTS for value in headers(message, name))
    return frozenset(address.lower() for value in values for address in _ANY_ADDRESS.findall(value))


def _written(name: str, value: str) -> str:
    """Return a header's value as it is sent: plain where it can be read in one way only, else in encoded words."""
    if name == "References":
        return value.replace(" ", "\r\n ")
    if _PLAIN.fullmatch(value) and "=?" not in value:
        return value if name in ("Subject", "In-Reply-To") else value.replace(", ", ",\r\n ")
    return "\r\n ".join(_encoded_words(value))


def _encoded_words(value: str) -> Iterator[str]:
    """Yield the encoded words of a text, each with whole characters (RFC 2047 section 5)."""
    word = b""
    for character in value:
        encoded = character.encode()
        if len(word) + len(encoded) > _ENCODED_BYTES:
            yield f"=?utf-8?b?{base64.b64encode(word).decode()}?="
            word = b""
        word += encoded
    yield f"=?utf-8?b?{base64.b64encode(word).decode()}?="


def _read_back(raw: bytes, fields: list[tuple[str, str]], body: str) -> None:
    """Pass when a message, read by another parser, is exactly these headers and this text.

    Raises:
        ToolError: It is not.
    """
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    described = ("content-type", "content-transfer-encoding", "mime-version")
    read = [(name, str(value)) for name, value in mail.items() if name.lower() not in described]
    is_text = mail.get_content_type() == "text/plain" and mail.get_content_charset() == "utf-8"
    written = mail.get_content() if is_text and not mail.is_multipart() else None
    lines = written.replace("\r\n", "\n") if isinstance(written, str) else None
    if read != fields or lines != body + ("" if body.endswith("\n") else "\n"):
        raise ToolError("this mail could not be written so that it is read as it was approved, so nothing was sent")


def _threading(answered: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers In-Reply-To and References, or none when the answered message has no Message-ID."""
    own = _MESSAGE_ID.findall(header(answered, "Message-ID"))[:1]
    if not own:
        return []
    earlier = _MESSAGE_ID.findall(header(answered, "References"))
    if not earlier:
        replied = _MESSAGE_ID.findall(header(answered, "In-Reply-To"))
        earlier = replied if len(replied) == 1 else []
    references = list(dict.fromkeys([*earlier, *own]))
    return [("In-Reply-To", own[0]), ("References", " ".join(references[:1] + references[1:][-MAX_REFERENCES + 1 :]))]
