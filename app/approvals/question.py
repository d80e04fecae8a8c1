"""How a person is asked for approval: the question, and every argument exactly as it will be used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.approvals.approvals import Approval
from app.characters import spelled_out

_SIMPLE = re.compile(r"[\w.@+-]{1,200}")


@dataclass(frozen=True, slots=True)
class Question:
    """The words of one tool.

    Attributes:
        sentence: Asks whether to do it: ``Send this mail?``.
        labels: Names for parameters whose own name is not the best word: ``{"body": "Text"}``.
        details: Lines about this call's arguments, which others may have written; `@tool` leaves them out.
    """

    sentence: str
    labels: Mapping[str, str] = field(default_factory=dict)
    details: tuple[str, ...] = field(default=(), repr=False)


def ask(approval: Approval, question: Question | None = None, as_whom: str = "") -> str:
    """Return the question as Markdown; the arguments are indented, so that nothing in them is taken for formatting.

    Parameters without a value are left out. All others are shown in full, with invisible characters escaped.

    Args:
        approval: The approval to ask for.
        question: The tool's words, or None for a tool that has none.
        as_whom: The account that it is done with, where the person has several: ``work: ada@example.com``.
    """
    call = approval.call
    sentence = question.sentence if question else f"Shall I run {call.tool}?"
    if as_whom:
        sentence = f"{sentence.rstrip('?')} with your account {as_whom}?"
    lines = "".join(
        f"    {_label(name, question)}: {_exactly(value, plainly=question is not None)}\n"
        for name, value in call.arguments.items()
        if value is not None
    )
    lines += "".join(f"      - {spelled_out(line)}\n" for line in (question.details if question else ()))
    return f"{sentence}\n{lines}Reply `approve {approval.code}` to go ahead or `deny {approval.code}` to drop it."


def _label(name: str, question: Question | None) -> str:
    return question.labels.get(name, name.replace("_", " ").capitalize()) if question else name


def _exactly(value: object, *, plainly: bool) -> str:
    """Return a value in a form in which no value can look like another argument or hide a part of itself.

    Args:
        value: The value.
        plainly: Whether a list of simple words, such as ids, is written without brackets and quotes.
    """
    if plainly and isinstance(value, list) and all(isinstance(each, str) and _SIMPLE.fullmatch(each) for each in value):
        return ", ".join(map(spelled_out, value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "\n      | ".join(map(spelled_out, text.split("\n")))
