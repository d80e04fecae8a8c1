"""The messages that a business may send, held to Meta's limits.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from app.sandbox.whatsapp.errors import WhatsAppError, invalid

_FIELDS = frozenset(
    {"messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"}
)
_MEDIA = ("image", "audio", "video", "document", "sticker")
_CAPTION_LENGTH = 1024


def check_content(message: Mapping[str, Any], *, media: Collection[str], templates: Collection[tuple[str, str]]) -> str:
    """Return what a message says, for a person to read.

    Args:
        message: The request's body.
        media: The ids of uploaded files.
        templates: The approved templates, by name and language.

    Raises:
        WhatsAppError: Meta takes no such message.
    """
    kind = message.get("type", "text")
    content = message.get(kind) if isinstance(kind, str) else None
    if not isinstance(content, dict):
        raise invalid(f"parameter {kind} is required")
    if unknown := set(message) - _FIELDS - {kind}:
        raise invalid(f"unexpected keys {sorted(unknown)}")
    _text(message, "biz_opaque_callback_data", 512, required=False)
    if kind == "text":
        return _text(content, "body", 4096)
    if kind == "interactive":
        return _interactive(content)
    if kind == "template":
        language = content.get("language")
        code = language.get("code") if isinstance(language, dict) else None
        if (content.get("name"), code) not in templates:
            raise WhatsAppError(132001, "the template does not exist in this language", status=404)
        return f"[template {content['name']}]"
    if kind in _MEDIA:
        if content.get("id") not in media:
            raise WhatsAppError(131053, "the media was not uploaded")
        caption = _text(content, "caption", _CAPTION_LENGTH, required=False)
        return f"[{kind} {content.get('filename', '')}] {caption}".strip()
    raise WhatsAppError(131051, f"message type {kind} is not supported", status=501)


def _interactive(content: Mapping[str, Any]) -> str:
    body, action = content.get("body"), content.get("action")
    if not isinstance(body, dict) or not isinstance(action, dict):
        raise invalid("interactive needs body and action")
    words = _text(body, "text", 1024)
    if content.get("type") == "button":
        buttons = _objects(action, "buttons", 3)
        replies = [button.get("reply") for button in buttons if button.get("type") == "reply"]
        if len(replies) < len(buttons) or not all(isinstance(reply, dict) for reply in replies):
            raise invalid("each button is of the type reply")
        shown = [(_text(reply, "id", 256), _text(reply, "title", 20)) for reply in replies if reply]
    elif content.get("type") == "list":
        _text(action, "button", 20)
        sections = _objects(action, "sections", 10)
        rows = [row for section in sections for row in _objects(section, "rows", 10)]
        for section in sections:
            _text(section, "title", 24, required=len(sections) > 1)
        if len(rows) > 10:
            raise invalid("a list has at most 10 rows")
        for row in rows:
            _text(row, "description", 72, required=False)
        shown = [(_text(row, "id", 200), _text(row, "title", 24)) for row in rows]
    else:
        raise invalid("interactive is of the type button or list")
    for number in (0, 1):
        if len({pair[number] for pair in shown}) < len(shown):
            raise WhatsAppError(131009, "ids and titles of buttons are unique")
    return words


def _objects(holder: Mapping[str, Any], key: str, at_most: int) -> list[Mapping[str, Any]]:
    items = holder.get(key)
    if (
        not isinstance(items, list)
        or not 1 <= len(items) <= at_most
        or not all(isinstance(each, dict) for each in items)
    ):
        raise invalid(f"{key} has 1 to {at_most} items")
    return items


def _text(holder: Mapping[str, Any], key: str, at_most: int, *, required: bool = True) -> str:
    value = holder.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value.strip():
        raise WhatsAppError(131008, f"parameter {key} is required")
    if len(value.encode("utf-16-le")) // 2 > at_most:
        raise invalid(f"parameter {key} has at most {at_most} characters")
    return value
