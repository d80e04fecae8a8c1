"""The codes by which a person proves in their own chat that a sign-in in the browser was theirs."""

from __future__ import annotations

import hmac
import secrets

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # 30 signs, none of which looks like another
LENGTH = 8
_SEPARATORS = {ord("-"): None, ord(" "): None}


def new_code() -> str:
    """Return a new code of 39 random bits; it has a digit, so that no word is ever taken for a code."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        if _has_digit(code):
            return code


def read_code(typed: str) -> str | None:
    """Return the code that somebody typed in its original form, or None if it does not look like a code."""
    code = typed.translate(_SEPARATORS).upper()
    return code if len(code) == LENGTH and code.isascii() and code.isalnum() and _has_digit(code) else None


def is_given_out(code: str) -> bool:
    """Return whether a code consists of the signs that codes are made of."""
    return set(code) <= set(ALPHABET)


def is_code(typed: str, code: str) -> bool:
    """Return whether a typed code is the right one, in a time that does not depend on how much of it is right."""
    return hmac.compare_digest(typed.encode(), code.encode())


def _has_digit(code: str) -> bool:
    return any(character.isdigit() for character in code)
