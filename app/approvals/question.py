"""How a person is asked for approval: the question, and every argument exactly as it will be used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.approvals.approvals import Approval
from app.characters import spelled_out
from app.durations import in_words

_SHORT = 60  # characters of a text that is only named
_ONE_LINE = 100  # characters of JSON
_SIMPLE = re.compile(r"[\w.@+-]{1,200}")


@dataclass(frozen=True, slots=True)
class Question:
    """The words of one tool.

    Attributes:
        sentence: Asks whether to do it: ``Send this mail?``.
        labels: Names for parameters whose own name is not the best word: ``{"to": "To", "body": "Text"}``. Parameters
            are shown in this order, the others after them.
        yes: The effect of approving: ``send it``.
        about: The parameters by which a person knows one call from another: ``("subject",)``.
        details: Lines about this call's arguments, which others may have written; `@tool` leaves them out.
    """

    sentence: str
    labels: Mapping[str, str] = field(default_factory=dict)
    yes: str = "go ahead"
    about: tuple[str, ...] = ()
    details: tuple[str, ...] = field(default=(), repr=False)

    def named(self, arguments: Mapping[str, Any]) -> str:
        """Return the sentence with what tells this call from another: ``"Send this mail?" (Subject: Hi)``."""
        known = {name: arguments[name] for name in self.about if arguments.get(name) is not None}
        values = (f"{_label(name, self)}: {shortened(str(value))}" for name, value in known.items())
        return f'"{self.sentence}"' + (f" ({', '.join(values)})" if known else "")


def shortened(text: str) -> str:
    """Return the beginning of a text in one line, with everything that is not plainly seen as an escape."""
    line = " ".join(text[: 4 * _SHORT].split())
    short = line if len(line) <= _SHORT and len(text) <= 4 * _SHORT else f"{line[:_SHORT].rstrip()}…"
    return spelled_out(short)


def ask(
    approval: Approval,
    question: Question | None = None,
    as_whom: str = "",
    seconds_left: float = 0.0,
    member: str = "",
) -> str:
    """Return the question as Markdown; the arguments are indented, so that nothing in them is taken for formatting.

    Parameters without a value are left out. All others are shown in full, with invisible characters escaped.

    Args:
        approval: The approval to ask for.
        question: The tool's words, or None for a tool that has none.
        as_whom: The account that it is done with, where the person has several: ``work: ada@example.com``.
        seconds_left: How long the person can decide; not mentioned if it is 0.
        member: The member of a team that asks; empty for the agent itself.
    """
    call = approval.call
    sentence = question.sentence if question else f"Shall I run {call.tool}?"
    if as_whom:
        sentence = f"{sentence.rstrip('?')} with your account {as_whom}?"
    if member:
        sentence = f"{member} asks: {sentence}"
    lines = "".join(
        f"    {_label(name, question)}: {_exactly(value, plainly=question is not None)}\n"
        for name, value in _in_order(call.arguments, question)
        if value is not None
    )
    lines += "".join(f"      - {spelled_out(line)}\n" for line in (question.details if question else ()))
    yes = question.yes if question else "go ahead"
    until = within(seconds_left)
    return f"{sentence}\n{lines}Reply `approve {approval.code}` to {yes} or `deny {approval.code}` to drop it{until}."


def within(seconds_left: float) -> str:
    """Return how long a person can decide, to be added to how; nothing for 0 seconds."""
    return f" (within {in_words(seconds_left)})" if seconds_left else ""


def _in_order(arguments: Mapping[str, Any], question: Question | None) -> list[tuple[str, Any]]:
    first = [name for name in (question.labels if question else ()) if name in arguments]
    return [(name, arguments[name]) for name in dict.fromkeys((*first, *arguments))]


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
    if not isinstance(value, str) and len(text) > _ONE_LINE:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return "\n      | ".join(map(spelled_out, text.split("\n")))
