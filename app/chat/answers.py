"""The words by which a person answers a tool's question: ``answer 3f2a`` and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.approvals.approvals import Approval
from app.chat.words import words_of

_HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """``answer 3f2a 12``, read."""

    code: str
    text: str = field(repr=False)


def find_answer(text: str) -> GivenAnswer | None:
    """Return the answer that a message consists of, or None when it is anything else."""
    first, *others = text.split(maxsplit=2) or ("",)
    second = others[0] if others else ""
    code, _, begun = second.partition(":")
    match words_of(f"{first} {code}"):
        case ("answer", word) if is_code(word):
            answer = begun + text.partition(second)[2]
            return GivenAnswer(word, answer.strip().strip("`").strip())
        case _:
            return None


def is_code(word: str) -> bool:
    """Return whether a word, in lower case, may be the code of something that waits for a person."""
    return 4 <= len(word) <= 8 and set(word) <= _HEXADECIMAL


def how_to_answer(approval: Approval) -> str:
    """Return how to answer what waits for an answer, to a person who has only agreed or said nothing."""
    form = approval.call.form
    several = (
        "" if form is None or len(form.fields) == 1 else " to each, on a line of its own after its name and a colon"
    )
    return f"This is a question: reply `answer {approval.code}` and your answer{several}, or `deny {approval.code}`."
