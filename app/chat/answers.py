"""The words by which a person answers a tool's question: ``answer 3f2a`` and the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.approvals.approvals import Approval

_ANSWER = re.compile(r"[\s`/*]*answer[\s`*]+([0-9a-f]{4,8})\b[`*]*:?(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """``answer 3f2a 12``, read."""

    code: str
    text: str = field(repr=False)


def find_answer(text: str) -> GivenAnswer | None:
    """Return the answer that a message consists of, or None when it is anything else."""
    found = _ANSWER.fullmatch(text)
    return GivenAnswer(found[1].lower(), found[2].strip().strip("`").strip()) if found else None


def how_to_answer(approval: Approval) -> str:
    """Return how to answer what waits for an answer, to a person who has only agreed or said nothing."""
    form = approval.call.form
    several = (
        "" if form is None or len(form.fields) == 1 else " to each, on a line of its own after its name and a colon"
    )
    return f"This is a question: reply `answer {approval.code}` and your answer{several}, or `deny {approval.code}`."
