"""The files of the sandbox's WhatsApp: uploaded by the business, or sent by people.

https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from app.sandbox.whatsapp.errors import WhatsAppError

_TYPES = frozenset(  # that a business may upload
    f"{kind}/{name}"
    for kind, names in {
        "application": "msword pdf vnd.ms-excel vnd.ms-powerpoint "
        "vnd.openxmlformats-officedocument.presentationml.presentation "
        "vnd.openxmlformats-officedocument.spreadsheetml.sheet "
        "vnd.openxmlformats-officedocument.wordprocessingml.document",
        "audio": "aac amr mp4 mpeg ogg opus",
        "image": "jpeg png webp",
        "text": "plain",
        "video": "3gpp mp4",
    }.items()
    for name in names.split()
)
_LIMITS = {"image": 5_000_000, "audio": 16_000_000, "video": 16_000_000}  # bytes
_DOCUMENT_LIMIT = 100_000_000


@dataclass(frozen=True)
class MediaFile:
    """One file."""

    mime_type: str
    contents: bytes


@dataclass
class MediaStore:
    """Keeps files by id. Lives for the process.

    Attributes:
        refusal: The error that every upload gets; None to accept them.
    """

    refusal: WhatsAppError | None = None
    files: dict[str, MediaFile] = field(default_factory=dict)
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(700_000_000_000_001))

    def put(self, mime_type: str, contents: bytes) -> str:
        """Keep a file, and return its id.

        Raises:
            WhatsAppError: It is larger than Meta allows for its type.
        """
        if len(contents) > _LIMITS.get(mime_type.partition("/")[0], _DOCUMENT_LIMIT):
            raise WhatsAppError(131052, "the file is larger than its type may be")
        media_id = str(next(self._count))
        self.files[media_id] = MediaFile(mime_type, contents)
        return media_id

    def upload(self, mime_type: str, contents: bytes) -> str:
        """Keep a file of the business, and return its id.

        Raises:
            WhatsAppError: It is empty, of a type that businesses may not send, or too large for its type.
        """
        if self.refusal is not None:
            raise self.refusal
        if mime_type not in _TYPES:
            raise WhatsAppError(100, f"Param file must be a file with one of the types … Received: {mime_type}")
        if not contents:
            raise WhatsAppError(100, "The parameter file is required")
        return self.put(mime_type, contents)

    def described(self, media_id: str, root: str) -> dict[str, Any]:
        """Return what the Graph API says about a file.

        Raises:
            WhatsAppError: There is no such file.
        """
        file = self.files.get(media_id)
        if file is None:
            raise WhatsAppError(100, "Unsupported get request: the object does not exist", status=400)
        return {
            "messaging_product": "whatsapp",
            "url": f"{root}/files/{media_id}",
            "mime_type": file.mime_type,
            "sha256": hashlib.sha256(file.contents).hexdigest(),
            "file_size": len(file.contents),
            "id": media_id,
        }
