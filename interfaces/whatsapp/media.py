"""The files of a message.

https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
"""

from __future__ import annotations

import re

from app.messages import Attachment, AttachmentKind
from interfaces.whatsapp.payload import Part, part, text

_KINDS = {
    "image": AttachmentKind.IMAGE,
    "sticker": AttachmentKind.IMAGE,
    "video": AttachmentKind.VIDEO,
    "audio": AttachmentKind.AUDIO,
    "document": AttachmentKind.DOCUMENT,
}
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME_LENGTH = 255


def attachments_of(message: Part) -> tuple[Attachment, ...]:
    """Return the file of a message, if it has one that can be fetched.

    A voice message counts as one if the sender recorded it; a forwarded one is an audio file, because somebody else may
    be speaking.
    """
    kind = text(message, "type")
    media = part(message, kind) if kind in _KINDS else {}
    media_id = text(media, "id")
    if not _MEDIA_ID.fullmatch(media_id):
        return ()
    recorded = kind == "audio" and media.get("voice") is True and not is_forwarded(message)
    return (
        Attachment(
            kind=AttachmentKind.VOICE if recorded else _KINDS[kind],
            name=text(media, "filename")[:_NAME_LENGTH],
            mime_type=text(media, "mime_type")[:_NAME_LENGTH],
            size=None,
            reference=media_id,
        ),
    )


def is_forwarded(message: Part) -> bool:
    """Return whether the sender passed on what somebody wrote or recorded elsewhere."""
    context = part(message, "context")
    return context.get("forwarded") is True or context.get("frequently_forwarded") is True
