"""The words of a chat command, without the marks that chats and keyboards add."""

from __future__ import annotations

import unicodedata

MAX_COMMAND_LENGTH = 200  # characters, with single spaces

# Chats and keyboards add these: marks of code and style, quotes; Slack shows a quoted line by ">".
_MARKS = "`*_~'\"<>"
_STOPS = ".,;!\u2026"
# By Unicode's categories: what nobody sees, every dash, and every quote and bracket.
_PLAIN = {"Cf": "", "Cc": "", "Pd": "-", **dict.fromkeys(("Pi", "Pf", "Ps", "Pe"), "`")}


def pieces_of(text: str) -> frozenset[str]:
    """Return every run of letters, digits and hyphens in a text of any length, in lower case, to look for codes."""
    return frozenset("".join(each if each.isalnum() or each == "-" else " " for each in text.lower()).split())


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, in normal form C, and without marks; none if it is no command.

    A text that is longer than any command has none, so that its cost grows with its length and no faster: everything
    but splitting it at its spaces works on at most 200 characters.
    """
    line = " ".join(text.split())
    if len(line) > MAX_COMMAND_LENGTH:
        return ()
    plain = "".join(_PLAIN.get(unicodedata.category(character), character) for character in line)
    typed = unicodedata.normalize("NFC", plain).replace(":", " ").lower()
    words = (word.lstrip(_MARKS).rstrip(_MARKS + _STOPS) for word in typed.split())
    first, *others = tuple(word for word in words if word) or ("",)
    first = first.removeprefix("/")  # as commands begin in many chats
    return (first, *others) if first else tuple(others)
