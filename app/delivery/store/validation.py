"""The limits that a message must keep to be stored."""

from __future__ import annotations

from app.database.tables import CONVERSATION_LENGTH, EVENT_ID_LENGTH
from app.errors import InvalidMessageError
from app.messages import MAX_TEXT_LENGTH, Attachment, InboundMessage

MAX_ATTACHMENTS = 20
MAX_NAME_LENGTH, MAX_MIME_TYPE_LENGTH, MAX_REFERENCE_LENGTH = 255, 255, 1024  # characters


def check(message: InboundMessage) -> None:
    """Check that a message can be stored.

    Raises:
        InvalidMessageError: There is neither text nor an attachment, or a part is too long or cannot be stored.
    """
    if not message.text.strip() and not message.attachments:
        raise InvalidMessageError("the message has no text")
    limits = {"text": MAX_TEXT_LENGTH, "event_id": EVENT_ID_LENGTH, "conversation": CONVERSATION_LENGTH}
    for name, limit in limits.items():
        _check_text(f"the {name} of a message", getattr(message, name), limit)
    if len(message.attachments) > MAX_ATTACHMENTS:
        raise InvalidMessageError(f"a message has at most {MAX_ATTACHMENTS} attachments")
    for attachment in message.attachments:
        _check_attachment(attachment)


def _check_attachment(attachment: Attachment) -> None:
    of = "of an attachment"
    _check_text(f"the name {of}", attachment.name, MAX_NAME_LENGTH)
    _check_text(f"the MIME type {of}", attachment.mime_type, MAX_MIME_TYPE_LENGTH)
    _check_text(f"the reference {of}", attachment.reference, MAX_REFERENCE_LENGTH)
    if not attachment.reference or "://" in attachment.reference:
        raise InvalidMessageError(f"the reference {of} is an id, not empty and not a URL")
    if attachment.size is not None and attachment.size < 0:
        raise InvalidMessageError(f"the size {of} is not negative")


def _check_text(what: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidMessageError(f"{what} has at most {limit} characters")
    # PostgreSQL stores no NUL, and no database stores half a surrogate pair, which JSON can express.
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidMessageError(f"{what} contains characters that cannot be stored")
