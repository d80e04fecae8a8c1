"""Codes: how they are made, and which texts are taken for one."""

from __future__ import annotations

import pytest

from app.chat.accounts import TypedCode, find_code
from app.consent.codes import ALPHABET, LENGTH, is_code, new_code


def test_codes_are_random_and_hold_a_digit() -> None:
    """Codes differ, and each has eight characters of the alphabet with at least one digit."""
    codes = {new_code() for _ in range(2000)}

    assert len(codes) == 2000
    assert all(len(code) == LENGTH and set(code) <= set(ALPHABET) for code in codes)
    assert all(any(character.isdigit() for character in code) for code in codes)


@pytest.mark.parametrize("text", [
    "confirm K7P2QX9M", "Confirm k7p2qx9m", "  CONFIRM  K7P2-QX9M. ", "confirm K7P2 QX9M!", "confirm\nK7P2QX9M",
    "`confirm K7P2QX9M`", "confirm `K7P2QX9M`", "*confirm K7P2QX9M*", "confirm: K7P2QX9M", "confirm:K7P2QX9M",
    "confirm K7P2QX9M\u200b", "_confirm_ *K7P2QX9M*.", "> confirm K7P2QX9M", "```confirm K7P2QX9M```",
    "confirm K7P2\u2013QX9M", "confirm \u201cK7P2QX9M\u201d", "\ufeffconfirm\xa0K7P2QX9M",
])  # fmt: skip
def test_a_code_is_read_however_it_is_sent_back(text: str) -> None:
    """Case, spaces, hyphens, stops, marks of a chat and invisible characters make no difference."""
    assert find_code(text) == TypedCode("K7P2QX9M", certain=True)


@pytest.mark.parametrize("text", [
    "K7P2QX9M", "`k7p2-qx9m`", "K7P2 QX9M.", "please confirm K7P2QX9M", "confirm K7P2QX9M now", "my code is K7P2QX9M",
    "confirm code K7P2QX9M",
])  # fmt: skip
def test_a_code_without_the_word_counts_while_a_sign_in_waits(text: str) -> None:
    """A code alone, or in a text about a code, is uncertain, because it may be something else."""
    assert find_code(text) == TypedCode("K7P2QX9M", certain=False)


@pytest.mark.parametrize("text", [
    "confirm transfer", "confirm the meeting", "confirm K7P2QX9", "confirm K7P2QX9MM", "confirm",
    "confirm \u0661\u0662\u0663\u0664QX9M", "approve 3f2a", "find invoice K7P2QX9M", "invoice1", "K7P2QX9M K7P2QX9N",
])  # fmt: skip
def test_other_words_are_no_code(text: str) -> None:
    """A message that happens to hold eight letters is not taken for a code."""
    assert find_code(text) is None


def test_only_the_same_code_is_the_code() -> None:
    """Only the same code matches, and none that merely begins alike."""
    assert is_code("K7P2QX9M", "K7P2QX9M")
    assert not any(is_code(typed, "K7P2QX9M") for typed in ("K7P2QX9N", "K7P2QX9", "", "k7p2qx9m"))
