"""The codes by which a person proves in their own chat that a sign-in in the browser was theirs."""

from __future__ import annotations

import hmac
import re
import secrets

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # 30 signs, none of which looks like another
LENGTH = 8
_TYPED = re.compile(r"\s*confirm\s+([0-9A-Za-z]{4}[- ]?[0-9A-Za-z]{4})\s*[.!]?\s*", re.IGNORECASE)


def new_code() -> str:
    """A fresh code of 39 random bits; a digit is among them, so that no word is ever taken for a code."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        if _has_digit(code):
            return code


def find_typed(text: str) -> str | None:
    """The code in ``confirm K7P2QX9M``, as it was given out if it is the right one; None for any other message."""
    match = _TYPED.fullmatch(text)
    code = re.sub("[- ]", "", match[1]).upper() if match else ""
    return code if _has_digit(code) else None


def is_code(typed: str, code: str) -> bool:
    """Whether a typed code is the right one, in a time that tells nothing of how near it is."""
    return hmac.compare_digest(typed.encode(), code.encode())


def _has_digit(code: str) -> bool:
    return any(character.isdigit() for character in code)
