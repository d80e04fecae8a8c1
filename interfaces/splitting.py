"""Cutting an answer into the messages that a platform accepts."""

from __future__ import annotations

import unicodedata

_ROOM = 120  # characters of a message, reserved for its mark and the ends of a code block
_FENCE = "```"
_JOINER = "\u200d"


def split(text: str, limit: int) -> list[str]:
    """Return an answer cut into messages, at line ends where possible.

    Every message after the first begins with a mark, so that quoted text can never begin a message and pass for the
    assistant's own words. If a code block is cut, it is closed and opened again in the next message.

    Args:
        text: The answer; blocks of code are fenced.
        limit: Maximum length of a message, in UTF-16 units, which no way of counting characters exceeds.
    """
    text = text.strip() or "(no text)"
    if utf16_length(text) <= limit:
        return [text]
    pieces, start, fence = [], 0, ""
    while start < len(text):
        end = _cut(text, start, limit)
        piece = text[start:end].rstrip()
        opened = _fence_after(piece, fence)
        pieces.append(f"{fence}\n{piece}" if fence else piece)
        if opened:
            pieces[-1] += f"\n{_FENCE}"
        start, fence = _skip_line_ends(text, end), opened
    return [
        piece if number == 1 else f"(continued, {number} of {len(pieces)})\n{piece}"
        for number, piece in enumerate(pieces, 1)
    ]


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 units: characters beyond U+FFFF, such as emoji, count twice."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def _cut(text: str, start: int, limit: int) -> int:
    """Return the end of a message that begins at `start`: after a line if possible, else a word, else a character."""
    end = start + limit - _ROOM
    while (excess := utf16_length(text[start:end]) - (limit - _ROOM)) > 0:
        end -= (excess + 1) // 2
    if end >= len(text):
        return len(text)
    for separator, earliest in (("\n", (start + end) // 2), (" ", end - _ROOM)):
        if (found := text.rfind(separator, max(start + 1, earliest), end)) > 0:
            return found + 1
    earliest = max(start + 1, end - _ROOM)
    while end > earliest and _continues(text, end):
        end -= 1
    return end


def _continues(text: str, index: int) -> bool:
    """Return whether a character belongs to the one before it: an accent, a variation selector, or a joined one."""
    return unicodedata.category(text[index])[0] == "M" or _JOINER in text[index - 1 : index + 1]


def _skip_line_ends(text: str, start: int) -> int:
    while start < len(text) and text[start] == "\n":
        start += 1
    return start


def _fence_after(piece: str, fence: str) -> str:
    """Return the line that opened the code block in which a piece ends, or nothing.

    Args:
        piece: A part of an answer.
        fence: The line that opened the code block in which the piece begins, or nothing.
    """
    for line in piece.split("\n"):
        if line.startswith(_FENCE):
            fence = "" if fence else line[: _ROOM // 2].rstrip()
    return fence
