"""The files of a message, as references (https://core.telegram.org/bots/api#message)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.messages import Attachment, AttachmentKind

_KINDS = {
    "voice": AttachmentKind.VOICE,
    "audio": AttachmentKind.AUDIO,
    "video": AttachmentKind.VIDEO,
    "video_note": AttachmentKind.VIDEO,
    "document": AttachmentKind.DOCUMENT,
}
_TYPES = {"voice": "audio/ogg", "video_note": "video/mp4"}  # where Telegram may leave it out


def attachments_of(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """Return a message's files; of a photo's sizes the largest."""
    found = []
    photo = message.get("photo")
    if isinstance(photo, list) and photo and (largest := _attachment(AttachmentKind.IMAGE, photo[-1], "image/jpeg")):
        found.append(largest)
    for key, kind in _KINDS.items():
        # An animation has a document too, which is the same file.
        if isinstance(file := message.get(key), dict) and (attachment := _attachment(kind, file, _TYPES.get(key, ""))):
            found.append(attachment)
    return tuple(found)


def _attachment(kind: AttachmentKind, file: Any, mime_type: str) -> Attachment | None:
    if not isinstance(file, dict) or not isinstance(file_id := file.get("file_id"), str) or not file_id:
        return None
    size, stated, name = file.get("file_size"), file.get("mime_type"), file.get("file_name")
    return Attachment(
        kind,
        "".join(filter(str.isprintable, name))[:255] if isinstance(name, str) else "",
        "".join(filter(str.isprintable, stated))[:255] if isinstance(stated, str) else mime_type,
        size if isinstance(size, int) and size >= 0 else None,
        file_id,
    )
