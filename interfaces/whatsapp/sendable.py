"""The files that WhatsApp takes from a business.

https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media#supported-media-types
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.errors import DeputyError
from app.reply import ReplyFile

_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = frozenset(
    {
        "application/msword",
        "application/pdf",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        f"{_OFFICE}.presentationml.presentation",
        f"{_OFFICE}.spreadsheetml.sheet",
        f"{_OFFICE}.wordprocessingml.document",
        "text/plain",
    }
)
_KINDS = {
    "audio": frozenset({"audio/aac", "audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/opus"}),
    "image": frozenset({"image/jpeg", "image/png"}),
    "video": frozenset({"video/3gpp", "video/mp4"}),
}
_LIMITS = {"audio": 16_000_000, "document": 100_000_000, "image": 5_000_000, "video": 16_000_000}  # bytes
_PLAIN = "text/plain"
_ALSO_PLAIN = frozenset({"application/json", "application/xml"})


class UnsendableError(DeputyError):
    """WhatsApp takes no such file; the message completes "I could not attach it: …"."""


@dataclass(frozen=True, slots=True)
class Sendable:
    """How a file is sent.

    Attributes:
        mime_type: The type under which it is uploaded.
        kind: The kind of the message: ``audio``, ``document``, ``image`` or ``video``.
    """

    mime_type: str
    kind: str

    def message(self, media_id: str, name: str) -> dict[str, Any]:
        """Return the message with the uploaded file; only a document has a name."""
        named = {"filename": name} if self.kind == "document" else {}
        return {"type": self.kind, self.kind: {"id": media_id, **named}}


def sendable(file: ReplyFile, size: int) -> Sendable:
    """Return how a file of so many bytes is sent; any text is a plain one to WhatsApp, under its own name.

    Raises:
        UnsendableError: WhatsApp takes no such file.
    """
    kind = next((kind for kind, types in _KINDS.items() if file.mime_type in types), "document")
    is_text = file.mime_type.startswith("text/") or file.mime_type in _ALSO_PLAIN
    mime_type = _PLAIN if is_text else file.mime_type
    if kind == "document" and mime_type not in _DOCUMENTS:
        raise UnsendableError("WhatsApp takes no files of this type")
    if not size:
        raise UnsendableError("it is empty")
    if size > _LIMITS[kind]:
        raise UnsendableError(f"it is larger than {_LIMITS[kind] // 1_000_000} MB, and WhatsApp takes no more")
    return Sendable(mime_type, kind)
