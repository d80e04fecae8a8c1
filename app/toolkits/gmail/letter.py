"""Messages that Deputy writes, in the form of the Gmail API, and the checks on their headers and text.

Only approved text is sent: each message is parsed again and compared, every header and the body, before it leaves.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any

from app.errors import ToolError
from app.google.uploads import BytesUpload
from app.sizes import in_units
from app.toolkits.gmail.message import header, headers
from app.toolkits.input_file import InputFile
from app.toolkits.shapes import text
from app.toolkits.written import ANY_ADDRESS, CONTROL, MAX_HEADER, addresses, body_text, header_text

# Gmail sends up to 25 MB: https://support.google.com/mail/answer/6584. Base64 makes 39 bytes of each 28 of a file.
MAX_LETTER_BYTES = 25_000_000
MAX_FILE_BYTES = 17_500_000  # of all files of one mail together
_STAND_IN_BYTES = 45  # one line of base64, which no other line of the mail equals
MAX_REFERENCES = 20  # the first and the last of a long thread say enough

# The headers that `reply` needs of the message that it answers.
ANSWERED_HEADERS = ("From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References")
_PARTICIPANTS = ("From", "Reply-To", "To", "Cc")
_ENCODED_BYTES = 45  # in one encoded word, which may have 75 characters (RFC 2047 section 2)

_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
# RFC 5322 section 3.6.4, without comments and blanks. The length keeps each on a line of its own.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}+>")
_RE = re.compile(r"re\s{0,9}+:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A mail that is ready to be sent or kept as a draft.

    Attributes:
        raw: The mail as it travels; Gmail adds its sender.
        thread_id: The thread that it belongs to, or an empty text.
        has_files: Files are attached to it.
    """

    raw: bytes = field(repr=False)
    thread_id: str
    has_files: bool

    @property
    def message(self) -> dict[str, str]:
        """Return the Message of the API: all of it, or what goes beside `media`."""
        raw = {} if self.has_files else {"raw": base64.urlsafe_b64encode(self.raw).decode("ascii")}
        return raw | ({"threadId": self.thread_id} if self.thread_id else {})

    @property
    def media(self) -> dict[str, BytesUpload]:
        """Return the argument of the API's method that uploads the mail; none if `message` has all of it.

        https://developers.google.com/workspace/gmail/api/guides/uploads
        """
        return {"media_body": BytesUpload(self.raw, "message/rfc822", in_pieces=True)} if self.has_files else {}


def outgoing(
    to: str,
    subject: str,
    body: str,
    cc: str | None,
    bcc: str | None = None,
    *,
    answers: Mapping[str, Any] | None = None,
    files: Sequence[InputFile] = (),
) -> OutgoingMail:
    """Return a mail; with large files it takes a while.

    Args:
        to: The recipients' addresses.
        subject: The subject.
        body: The plain text.
        cc: Further recipients' addresses, or None.
        bcc: Those whom the others do not see, or None.
        answers: The message that it answers, with `ANSWERED_HEADERS`, or None.
        files: The attachments.

    Raises:
        ValueError: An address, the subject or the text is refused by `addresses`, `header_text` or `body_text`.
        ToolError: The mail would be read as something else than these, or is too large.
    """
    recipients = [(name, addresses(each)) for name, each in (("To", to), ("Cc", cc), ("Bcc", bcc)) if each]
    fields = [*_threading(answers or {}), *recipients, ("Subject", header_text(subject))]
    mail = EmailMessage(policy=SMTP)
    mail.set_content(body_text(body))
    stand_ins = [secrets.token_bytes(_STAND_IN_BYTES) for _ in files]
    for file, stand_in in zip(files, stand_ins, strict=True):
        kind, _, subtype = attached_as(file).partition("/")
        mail.add_attachment(stand_in, maintype=kind, subtype=subtype, filename=file.name)
    # Written by hand: `email` sends a text that looks like an encoded word as one, and encodes ids that are long.
    raw = b"".join(f"{name}: {_written(name, value)}\r\n".encode("ascii") for name, value in fields) + mail.as_bytes()
    _read_back(raw, fields, body_text(body), [*zip(files, stand_ins, strict=True)])
    size = len(raw) + sum(len(file.contents) * 78 // 57 for file in files)
    if size > MAX_LETTER_BYTES:
        raise ToolError(f"this mail would have {in_units(size)}; Gmail sends up to {in_units(MAX_LETTER_BYTES)}")
    return OutgoingMail(_filled(raw, stand_ins, files), text(answers, "threadId") if answers else "", bool(files))


def _filled(raw: bytes, stand_ins: Sequence[bytes], files: Sequence[InputFile]) -> bytes:
    """Return a mail with the files in place of what stands for them.

    `email` would take ten times the memory of the files to write them and to read them back.
    """
    pieces: list[bytes] = []
    for stand_in, file in zip(stand_ins, files, strict=True):
        before, found, raw = raw.partition(base64.b64encode(stand_in))
        assert found, "the mail has been read back with it"
        pieces += [before, base64.encodebytes(file.contents).rstrip(b"\n").replace(b"\n", b"\r\n")]
    return b"".join([*pieces, raw])


def attached_as(file: InputFile) -> str:
    """Return the type under which a file is attached; a mail or a part of one is attached as plain bytes."""
    plain = file.mime_type.startswith(("message/", "multipart/"))
    return "application/octet-stream" if plain else file.mime_type


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


def _read_back(raw: bytes, fields: list[tuple[str, str]], body: str, files: Sequence[tuple[InputFile, bytes]]) -> None:
    """Pass when a mail, read by another parser, is exactly these headers, this text and these files.

    Args:
        raw: The mail.
        fields: The headers.
        body: The text.
        files: Each file, and the contents that stand for its own.

    Raises:
        ToolError: It is not.
    """
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    described = ("content-type", "content-transfer-encoding", "mime-version")
    read = [(name, str(value)) for name, value in mail.items() if name.lower() not in described]
    parts = [*mail.iter_parts()] if files and mail.get_content_type() == "multipart/mixed" else [mail]
    first, *attached = parts or [mail]
    is_text = first.get_content_type() == "text/plain" and first.get_content_charset() == "utf-8"
    written = first.get_content() if is_text and not first.is_multipart() else None
    lines = written.replace("\r\n", "\n") if isinstance(written, str) else None
    found = [(each.get_filename(), each.get_content_type(), each.get_payload(decode=True)) for each in attached]
    wanted = [(file.name, attached_as(file), stand_in) for file, stand_in in files]
    if read != fields or lines != body + ("" if body.endswith("\n") else "\n") or found != wanted:
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
