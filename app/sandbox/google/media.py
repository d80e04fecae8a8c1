"""Uploads: media, with or without metadata in JSON.

https://developers.google.com/workspace/gmail/api/guides/uploads
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser


class MediaError(Exception):
    """The upload is malformed, or of a kind that the sandbox does not accept."""


@dataclass(frozen=True, slots=True)
class Media:
    """Uploaded media; the content does not appear in the repr."""

    mime_type: str
    content: bytes

    def __repr__(self) -> str:
        return f"Media({self.mime_type!r}, {len(self.content)} bytes)"


def read_upload(upload_type: str | None, content_type: str, body: bytes) -> tuple[Media, bytes]:
    """Return the media and its JSON metadata, which is empty for ``uploadType=media``.

    Raises:
        MediaError: The kind is neither ``media`` nor ``multipart``, or the body is not of its kind.
    """
    if upload_type == "media":
        return Media(content_type, body), b""
    if upload_type != "multipart":
        raise MediaError(f"The sandbox takes uploadType=media, multipart or resumable, not {upload_type}.")
    parts = read_multipart(content_type, body)
    if len(parts) != 2:
        raise MediaError("A multipart upload has two parts: the metadata, then the media.")
    about, medium = parts
    return Media(medium.get_content_type(), content_of(medium)), content_of(about)


def read_multipart(content_type: str, body: bytes) -> list[Message]:
    """Return the parts of a multipart body (RFC 2046 §5.1).

    Raises:
        MediaError: The body is not multipart.
    """
    head = b"MIME-Version: 1.0\r\nContent-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + body)
    parts = message.get_payload() if message.is_multipart() else None
    if not isinstance(parts, list) or not content_type.lower().startswith("multipart/"):
        raise MediaError("The body is not a multipart message with a boundary.")
    return [part for part in parts if isinstance(part, Message)]


def content_of(part: Message) -> bytes:
    """Return a part's content with its transfer encoding decoded.

    Raises:
        MediaError: It is a message of its own.
    """
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        raise MediaError("The sandbox takes a mail only by itself, or in pieces.")
    return content
