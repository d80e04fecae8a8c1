"""Invisible characters are spelled out where a person approves, and left out of what a model reads."""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from functools import cache

import pytest

from app.approvals.approvals import Approval, ApprovalState, PendingCall
from app.approvals.question import Question, ask
from app.characters import seen, spelled_out
from app.principal import Principal

ADA = Principal("http", "demo", "ada")


KINDS = {
    "format characters": ("Cf",),
    "controls": ("Cc",),
    "line and paragraph separators": ("Zl", "Zp"),
    "blanks": ("Zs",),
    "surrogates": ("Cs",),
    "private use and unassigned": ("Co", "Cn"),
}
OTHERS = {
    "variation selectors": [*map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])],
    "tags": [chr(point) for point in range(0xE0000, 0xE1000)],
    "fillers": [*"\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\U00016fe4\U0001d159"],
    "joiners": [*"\u034f\u200c\u200d\u2060"],
}


@cache
def by_category() -> dict[str, list[str]]:
    """Return every code point by its Unicode category."""
    found = defaultdict(list)
    for each in map(chr, range(sys.maxunicode + 1)):
        found[unicodedata.category(each)].append(each)
    return found


def unseen(kind: str) -> list[str]:
    """Return the invisible code points of a kind, as Unicode defines them and not as the code does."""
    if kind in OTHERS:
        return OTHERS[kind]
    found = [each for category in KINDS[kind] for each in by_category()[category] if each != " "]
    return found[::500] if len(found) > 100_000 else found  # a sample of a million


def test_the_table_holds_what_was_found_missing() -> None:
    """More than 260 variation selectors and fillers are outside the category of format characters."""
    outside = {each for each in unseen("variation selectors") + unseen("fillers") if unicodedata.category(each) != "Cf"}

    assert len(outside) > 260


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_what_nobody_sees_is_spelled_out(kind: str) -> None:
    """Each code point of the kind is spelled out as an escape of plain letters and digits."""
    missed = [f"{ord(each):04x}" for each in unseen(kind) if not spelled_out(f"a{each}b").isascii()]
    lost = [f"{ord(each):04x}" for each in unseen(kind) if f"{ord(each):x}" not in spelled_out(each).lower()]

    assert missed == []
    assert [each for each in lost if int(each, 16) not in (9, 10, 13)] == []  # written as \t, \n and \r


FORMS: dict[str, Callable[[str], object]] = {
    "a text": lambda hidden: f"a{hidden}b",
    "a list of words": lambda hidden: [f"a{hidden}b", "c"],
    "a value in an object": lambda hidden: {"key": f"a{hidden}b"},
    "a key of an object": lambda hidden: {f"a{hidden}b": 1},
    "a list in a list": lambda hidden: [[f"a{hidden}b"]],
}


@pytest.mark.parametrize("question", [None, Question("Send it?")], ids=["without words", "with words"])
@pytest.mark.parametrize("form", FORMS)
def test_an_approval_spells_them_out_wherever_they_stand(form: str, question: Question | None) -> None:
    """An approval spells out invisible characters in a text, in a plain list, in an object and in its keys."""
    kinds = (
        "format characters",
        "variation selectors",
        "fillers",
        "joiners",
        "blanks",
        "line and paragraph separators",
    )
    missed = []
    for hidden in (each for kind in kinds for each in unseen(kind)):
        call = PendingCall("c", "letters_send", {"value": FORMS[form](hidden)})
        shown = ask(Approval("0" * 32, ADA, "3f2a", "m", call, ApprovalState.PENDING, 3600.0), question)
        if hidden in shown:
            missed.append(f"{ord(hidden):04x}")

    assert missed == []


@pytest.mark.parametrize("kind", ["format characters", "variation selectors", "tags", "fillers"])
def test_a_model_reads_none_of_them_between_letters(kind: str) -> None:
    """Invisible characters, which could carry a hidden message, are removed; visible format characters stay."""
    visible = [
        each
        for each in unseen(kind)
        if any(word in unicodedata.name(each, "") for word in ("SIGN", "ARABIC", "SYRIAC"))
    ]
    kept = [each for each in unseen(kind) if seen(f"a{each}b") != "ab" and each not in visible]

    assert [f"{ord(each):04x} {unicodedata.name(each, '')}" for each in kept] == []


def test_half_a_surrogate_pair_is_marked() -> None:
    """Half a surrogate pair, which JSON can hold and a text cannot, is replaced by a mark."""
    assert seen("a\ud83db") == "a\ufffdb"
