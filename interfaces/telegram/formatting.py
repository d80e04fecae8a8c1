"""Turns replies into messages that Telegram accepts (https://core.telegram.org/bots/api#formatting-options)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.reply import Button

if TYPE_CHECKING:
    from telegramify_markdown import RenderConfig

MAX_TEXT_LENGTH = 4096  # UTF-16 units
MAX_ENTITIES = 100  # Telegram silently drops the formatting after them
_MARK_ROOM = 40  # UTF-16 units of a message, reserved for the mark of a continuation
# The converter drops HTML, and takes marks within a URL for formatting. Meanwhile characters of the same length stand
# in for them, of a private area, where no character means anything to others.
_STAND_INS = {ord(character): chr(0xE000 + number) for number, character in enumerate("<_*~|`\\[]")}
_BACK = {ord(stand_in): chr(character) for character, stand_in in _STAND_INS.items()}
_URL = re.compile(r"https?://[^\s<>()\[\]`]+")
_PRIVATE = re.compile(f"[{chr(0xE000)}-{chr(0xE000 + len(_STAND_INS))}]")
_BUTTONS_IN_ROW = 2


@dataclass(frozen=True, slots=True)
class Part:
    """One message: its text without marks of formatting, and its entities as objects of the Bot API."""

    text: str = field(repr=False)
    entities: tuple[dict[str, Any], ...] = field(default=(), repr=False)


def parts_of(text: str, *, verbatim: bool = False) -> list[Part]:
    """Return a reply, cut into messages at line ends where possible.

    Every message after the first begins with a mark, so that quoted text can never begin a message and pass for the
    assistant's own words.

    Args:
        text: The reply, Markdown.
        verbatim: Show each character as it is, because the person decides on exactly this text.
    """
    from telegramify_markdown import split_entities

    plain, entities = (text, []) if verbatim else _converted(text)
    plain = plain if plain.strip() else "(no text)"
    pieces = [
        Part(piece, tuple(entity.to_dict() for entity in of_piece[:MAX_ENTITIES]))
        for piece, of_piece in split_entities(plain, entities, MAX_TEXT_LENGTH - _MARK_ROOM)
        if piece.strip()
    ]
    if len(pieces) == 1:
        return pieces
    return [
        piece if number == 1 else _continued(piece, f"(continued, {number} of {len(pieces)})\n")
        for number, piece in enumerate(pieces, 1)
    ]


def keyboard_of(buttons: Sequence[Button]) -> list[list[dict[str, str]]]:
    """Return the rows of an inline keyboard; the words of a reply say what a button does that Telegram would refuse."""
    shown = [
        {"text": button.label, **({"callback_data": button.command} if button.command else {"url": str(button.url)})}
        for button in buttons
        if button.command or _is_accepted(str(button.url))
    ]
    return [shown[start : start + _BUTTONS_IN_ROW] for start in range(0, len(shown), _BUTTONS_IN_ROW)]


def _converted(text: str) -> tuple[str, list[Any]]:
    """Return the text without its marks, and its entities."""
    from telegramify_markdown import convert

    prepared = _URL.sub(lambda url: url[0].translate(_STAND_INS), _PRIVATE.sub("\ufffd", text))
    plain, entities = convert(prepared.replace("<", _STAND_INS[ord("<")]), latex_escape=False, config=_config())
    for entity in entities:
        entity.url = entity.url.translate(_BACK) if entity.url else entity.url
    return plain.translate(_BACK), entities


@cache
def _config() -> RenderConfig:
    """Return how the converter shows what Telegram has no formatting for: without pictures."""
    from telegramify_markdown import RenderConfig

    config = RenderConfig.isolated()
    symbols = config.markdown_symbol
    symbols.heading_level_1 = symbols.heading_level_2 = symbols.heading_level_3 = symbols.heading_level_4 = ""
    symbols.unordered_list_item = "\N{BULLET}"
    return config


def _continued(part: Part, mark: str) -> Part:
    shifted = ({**entity, "offset": entity["offset"] + len(mark)} for entity in part.entities)
    return Part(mark + part.text, tuple(shifted))


def _is_accepted(url: str) -> bool:
    """Return whether Telegram takes a URL for a button: not of a host without a dot, such as localhost."""
    return "." in (urlsplit(url).hostname or "")
