"""The limits that a message must keep to be stored."""

from __future__ import annotations

from app.database.tables import CONVERSATION_LENGTH, EVENT_ID_LENGTH
from app.errors import InvalidMessageError
from app.messages import MAX_TEXT_LENGTH, InboundMessage


def check(message: InboundMessage) -> None:
    """Check that a message can be stored.

    Raises:
        InvalidMessageError: There is no text, or a part is too long or cannot be stored.
    """
    if not message.text.strip():
        raise InvalidMessageError("the message has no text")
    limits = {"text": MAX_TEXT_LENGTH, "event_id": EVENT_ID_LENGTH, "conversation": CONVERSATION_LENGTH}
    for name, limit in limits.items():
        value: str = getattr(message, name)
        if len(value) > limit:
            raise InvalidMessageError(f"the {name} of a message has at most {limit} characters")
        # PostgreSQL stores no NUL, and no database stores half a surrogate pair, which JSON can express.
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidMessageError(f"the {name} of a message contains characters that cannot be stored")
