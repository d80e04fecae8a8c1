"""A reply as the messages of Meta's Cloud API that show it.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.reply import Button, ReplyContent
from interfaces.splitting import split, utf16_length
from interfaces.whatsapp.formatting import exact, rendered

MAX_TEXT_LENGTH = 4096
MAX_BODY_LENGTH = 1024  # of a message with buttons or a list
MAX_BUTTONS, MAX_TITLE_LENGTH, MAX_ID_LENGTH = 3, 20, 256
MAX_ROWS, MAX_ROW_TITLE_LENGTH, MAX_ROW_ID_LENGTH = 10, 24, 200
_CHOOSE = "Choose"

Payload = dict[str, Any]


def payloads(content: ReplyContent, *, with_buttons: bool) -> list[Payload]:
    """Return the messages that show a reply, each without its recipient; files are left to the caller.

    Up to three buttons are shown as such and up to ten as a list, if their words fit. They stand below the last part of
    the text, or below a word of their own if that part is too long. In all other cases the text says what to write.

    Args:
        content: The reply.
        with_buttons: Whether buttons can be pressed where it goes; a group shows none.
    """
    shown = exact(content.text) if content.verbatim else rendered(content.text)
    texts = split(shown, MAX_TEXT_LENGTH)
    commands = [button for button in content.buttons if button.command] if with_buttons else []
    action = _buttons(commands) or _list(commands)
    if action is None:
        return [_text(text) for text in texts]
    body = texts.pop() if utf16_length(texts[-1]) <= MAX_BODY_LENGTH else f"{_CHOOSE}:"
    return [*map(_text, texts), {"type": "interactive", "interactive": {**action, "body": {"text": body}}}]


def _text(body: str) -> Payload:
    return {"type": "text", "text": {"body": body, "preview_url": False}}


def _buttons(buttons: Sequence[Button]) -> Payload | None:
    titles = _titles(buttons, MAX_TITLE_LENGTH)
    if titles is None or not 0 < len(buttons) <= MAX_BUTTONS:
        return None
    replies = [
        {"type": "reply", "reply": {"id": button.command, "title": title}}
        for button, title in zip(buttons, titles, strict=True)
    ]
    return {"type": "button", "action": {"buttons": replies}}


def _list(buttons: Sequence[Button]) -> Payload | None:
    titles = _titles(buttons, MAX_ROW_TITLE_LENGTH)
    if titles is None or not 0 < len(buttons) <= MAX_ROWS:
        return None
    rows = [{"id": button.command, "title": title} for button, title in zip(buttons, titles, strict=True)]
    return {"type": "list", "action": {"button": _CHOOSE, "sections": [{"title": _CHOOSE, "rows": rows}]}}


def _titles(buttons: Sequence[Button], limit: int) -> list[str] | None:
    """Return what stands on the buttons: their labels, or else their commands; None if they do not fit or are equal."""
    titles = [button.label if utf16_length(button.label) <= limit else str(button.command) for button in buttons]
    if any(utf16_length(title) > limit for title in titles) or len(set(titles)) < len(titles):
        return None
    return titles
