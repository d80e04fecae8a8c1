"""Codes: what is given out, and what is taken for one."""

from __future__ import annotations

import pytest

from app.consent.codes import ALPHABET, LENGTH, find_typed, is_code, new_code


def test_codes_are_random_and_hold_a_digit() -> None:
    """No two of many are equal, and each has eight signs of the alphabet with a digit among them."""
    codes = {new_code() for _ in range(2000)}

    assert len(codes) == 2000
    assert all(len(code) == LENGTH and set(code) <= set(ALPHABET) for code in codes)
    assert all(any(character.isdigit() for character in code) for code in codes)


@pytest.mark.parametrize("text", [
    "confirm K7P2QX9M", "Confirm k7p2qx9m", "  CONFIRM  K7P2-QX9M. ", "confirm K7P2 QX9M!", "confirm\nK7P2QX9M",
])  # fmt: skip
def test_a_code_is_read_however_it_is_written(text: str) -> None:
    """Case, a space or hyphen in the middle and a full stop make no difference."""
    assert find_typed(text) == "K7P2QX9M"


@pytest.mark.parametrize("text", [
    "confirm transfer", "confirm the meeting", "K7P2QX9M", "confirm K7P2QX9", "confirm K7P2QX9MM", "confirm",
    "please confirm K7P2QX9M", "confirm K7P2QX9M now", "confirm \u0661\u0662\u0663\u0664QX9M", "approve 3f2a",
])  # fmt: skip
def test_other_words_are_no_code(text: str) -> None:
    """What a person says to their assistant is not taken for a code, be it eight letters long."""
    assert find_typed(text) is None


def test_only_the_same_code_is_the_code() -> None:
    """Nothing else is, not even with the same beginning."""
    assert is_code("K7P2QX9M", "K7P2QX9M")
    assert not any(is_code(typed, "K7P2QX9M") for typed in ("K7P2QX9N", "K7P2QX9", "", "k7p2qx9m"))
