"""Turns replies into messages that Telegram accepts (https://core.telegram.org/bots/api#formatting-options)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.reply import Button
from interfaces.splitting import split

if TYPE_CHECKING:
    from telegramify_markdown import RenderConfig

MAX_TEXT_LENGTH = 4096  # UTF-16 units
MAX_ENTITIES = 100  # Telegram silently drops the formatting after them
_PIECE_LENGTH = 4000  # of Markdown: what is shown of it is longer at most by a little
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

    Every message after the first begins with a mark, as `split` says.

    Args:
        text: The reply, Markdown.
        verbatim: Show each character as it is, because the person decides on exactly this text.
    """
    parts: list[Part] = []
    for piece in split(text, _PIECE_LENGTH):
        parts += [Part(piece)] if verbatim else _formatted(piece)
    return parts


def keyboard_of(buttons: Sequence[Button]) -> list[list[dict[str, str]]]:
    """Return the rows of an inline keyboard; the words of a reply say what a button does that Telegram would refuse."""
    shown = [
        {"text": button.label, **({"callback_data": button.command} if button.command else {"url": str(button.url)})}
        for button in buttons
        if button.command or _is_accepted(str(button.url))
    ]
    return [shown[start : start + _BUTTONS_IN_ROW] for start in range(0, len(shown), _BUTTONS_IN_ROW)]


def _formatted(piece: str) -> list[Part]:
    """Return a piece as one message, or as several if it has grown, as wide tables do."""
    from telegramify_markdown import split_entities

    plain, entities = _converted(piece)
    return [
        Part(text, tuple(entity.to_dict() for entity in of_text[:MAX_ENTITIES]))
        for text, of_text in split_entities(plain if plain.strip() else piece, entities, MAX_TEXT_LENGTH)
        if text.strip()
    ]


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


def _is_accepted(url: str) -> bool:
    """Return whether Telegram takes a URL for a button: not of a host without a dot, such as localhost."""
    return "." in (urlsplit(url).hostname or "")
