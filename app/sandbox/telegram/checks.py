"""The documented limits of what a bot sends (https://core.telegram.org/bots/api#sendmessage)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.sandbox.telegram.refusal import bad_request

MAX_TEXT_LENGTH, MAX_CAPTION_LENGTH = 4096, 1024  # UTF-16 units, after entities were parsed
MAX_CALLBACK_BYTES = 64
MAX_ENTITIES = 100
_MAX_BUTTONS, _MAX_BUTTONS_IN_ROW = 100, 8
_KINDS = frozenset(
    {
        *(
            "mention",
            "hashtag",
            "cashtag",
            "bot_command",
            "url",
            "email",
            "phone_number",
            "bold",
            "italic",
            "underline",
        ),
        *("strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre", "text_link"),
        *("text_mention", "custom_emoji"),
    }
)


def utf16_length(text: str) -> int:
    """Return a text's length in UTF-16 units, in which Telegram counts."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def check_text(arguments: Mapping[str, Any], *, limit: int = MAX_TEXT_LENGTH, key: str = "text") -> str:
    """Return the text of a message if it and its entities are valid.

    Raises:
        TelegramRefusedError: It is empty or too long, or an entity is invalid.
    """
    text = str(arguments.get(key) or "")
    if arguments.get("parse_mode"):
        raise bad_request("the sandbox parses no text; send entities")
    entities = parsed(arguments, "entities" if key == "text" else "caption_entities", [])
    if key == "text" and not text.strip():
        raise bad_request("message text is empty")
    if utf16_length(text) > limit:
        raise bad_request("message is too long" if key == "text" else "message caption is too long")
    if not isinstance(entities, list):
        raise bad_request("can't parse entities")
    if len(entities) > MAX_ENTITIES:
        raise bad_request("too many entities")  # Telegram shows the first 100 and drops the others silently
    for entity in entities:
        _check_entity(text, entity)
    return text


def check_keyboard(arguments: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the rows of the inline keyboard below a message, if it is valid.

    Raises:
        TelegramRefusedError: A button is invalid.
    """
    markup = parsed(arguments, "reply_markup", {})
    rows = markup.get("inline_keyboard", []) if isinstance(markup, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("object expected as reply markup")
    if sum(map(len, rows)) > _MAX_BUTTONS or any(len(row) > _MAX_BUTTONS_IN_ROW for row in rows):
        raise bad_request("too many buttons in the inline keyboard")
    for row in rows:
        for button in row:
            _check_button(button)
    return rows


def parsed(arguments: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return an argument that is JSON, in a form or within JSON."""
    value = arguments.get(key)
    if value in (None, ""):
        return default
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise bad_request(f"can't parse {key} JSON object") from None


def _check_button(button: Any) -> None:
    if not isinstance(button, dict) or not str(button.get("text") or "").strip():
        raise bad_request("text of an inline keyboard button is empty")
    kinds = [key for key in ("url", "callback_data") if button.get(key) is not None]
    if len(kinds) != 1:
        raise bad_request("exactly one optional field must be used in an inline keyboard button")
    if kinds == ["callback_data"] and not 1 <= len(str(button["callback_data"]).encode()) <= MAX_CALLBACK_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
    if kinds == ["url"]:
        url = urlsplit(str(button["url"]))
        if url.scheme not in ("http", "https", "tg") or (url.scheme != "tg" and "." not in (url.hostname or "")):
            raise bad_request(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")


def _check_entity(text: str, entity: Any) -> None:
    if not isinstance(entity, dict) or entity.get("type") not in _KINDS:
        raise bad_request("can't parse entities: unsupported type")
    offset, length = entity.get("offset"), entity.get("length")
    if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length <= 0:
        raise bad_request("can't parse entities: offset and length must be positive")
    if offset + length > utf16_length(text):
        raise bad_request("entity beyond the end of the text")
    if entity["type"] == "text_link" and not urlsplit(str(entity.get("url") or "")).scheme:
        raise bad_request("can't parse entities: text_link without a URL")
    units = text.encode("utf-16-le", errors="surrogatepass")
    for edge in (offset, offset + length):  # an entity may not cut a character in two
        unit = units[2 * edge : 2 * edge + 2]
        if unit and 0xDC00 <= int.from_bytes(unit, "little") <= 0xDFFF:
            raise bad_request("entity begins or ends in a surrogate pair")
