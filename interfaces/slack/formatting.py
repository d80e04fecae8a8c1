"""Turns answers into posts that Slack accepts (https://docs.slack.dev/messaging/formatting-message-text)."""

from __future__ import annotations

import unicodedata

MAX_POST_LENGTH = 3_900  # characters; Slack recommends less than 4,000
_ROOM = 120  # characters of a post, reserved for its mark and the ends of a code block
_FENCE = "```"
_JOINER = "\u200d"


def posts(text: str) -> list[str]:
    """Return an answer cut into posts, at line ends where possible.

    Every post after the first begins with a mark, so that quoted text can never begin a post and pass for the
    assistant's own words. If a code block is cut, it is closed and opened again in the next post.
    """
    text = text.strip() or "(no text)"
    if len(text) <= MAX_POST_LENGTH:
        return [text]
    pieces, start, fence = [], 0, ""
    while start < len(text):
        end = _cut(text, start)
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


def _cut(text: str, start: int) -> int:
    """Return the end of a post that begins at `start`: after a line if possible, else a word, else a character."""
    end = start + MAX_POST_LENGTH - _ROOM
    if end >= len(text):
        return len(text)
    for separator, earliest in (("\n", (start + end) // 2), (" ", end - _ROOM)):
        if (found := text.rfind(separator, earliest, end)) > 0:
            return found + 1
    while end > start + 1 and end > start + MAX_POST_LENGTH - 2 * _ROOM and _continues(text, end):
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


def escaped(post: str) -> str:
    """Return a post with three characters escaped, so that no mail can call ``<!channel>``.

    With Slack's markup on, ``*``, ``_``, ``~`` and backticks would still be markup.
    """
    return post.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
