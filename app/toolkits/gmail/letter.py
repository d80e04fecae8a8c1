"""Messages that Deputy writes, in the form of the Gmail API, and the checks on their headers and text.

Only approved text is sent: each message is parsed again and compared, every header and the body, before it leaves.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any

from app.errors import ToolError
from app.toolkits.gmail.message import header, headers
from app.toolkits.shapes import text
from app.toolkits.written import ANY_ADDRESS, CONTROL, MAX_HEADER, addresses, body_text, header_text

MAX_REFERENCES = 20  # the first and the last of a long thread say enough

# The headers that `reply` needs of the message that it answers.
ANSWERED_HEADERS = ("From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References")
_PARTICIPANTS = ("From", "Reply-To", "To", "Cc")
_ENCODED_BYTES = 45  # in one encoded word, which may have 75 characters (RFC 2047 section 2)

_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
# RFC 5322 section 3.6.4, without comments and blanks. The length keeps each on a line of its own.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}+>")
_RE = re.compile(r"re\s{0,9}+:", re.IGNORECASE)


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
    subject = " ".join(CONTROL.sub(" ", header(answered, "Subject")).split())[: MAX_HEADER - 4]
    return subject if _RE.match(subject) else f"Re: {subject}".rstrip()


def participants(message: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses of a message's senders, recipients and reply-to, in lower case."""
    values = (value for name in _PARTICIPANTS for value in headers(message, name))
    return frozenset(address.lower() for value in values for address in ANY_ADDRESS.findall(value))


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
