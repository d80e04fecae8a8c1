"""A question that a tool's origin asks its person in the middle of a call, and how the call goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.approvals.approvals import PendingCall
from app.approvals.form import Answers, Form
from app.errors import DeputyError

MAX_QUESTIONS = 5  # of one call, one after the other
GOES_ON = "goes_on"  # in a call's metadata: the `Resumption` of a call that is made again with the answer


class AnswerNeededError(DeputyError):
    """A tool's origin wants an answer of the person before it goes on, and has ended the call until then.

    Attributes:
        form: The question.
        state: An opaque text that the origin wants back with the answer; None if it wants none.
    """

    def __init__(self, form: Form, state: str | None) -> None:
        self.form = form
        self.state = state
        super().__init__(f"{form.asker} asks its person something")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a call waits for.

    Attributes:
        form: The question.
        state: The opaque text that goes back to the origin with the answer.
        round: How many questions the call has asked, with this one.
    """

    form: Form
    state: str | None = field(repr=False)
    round: int = 1


def pending_call(call_id: str, tool: str, arguments: Mapping[str, Any], asked: Asked | None) -> PendingCall:
    """Return a call as its approval is stored, or the answer to its latest question: each has an id of its own."""
    if asked is None:
        return PendingCall(call_id, tool, arguments)
    return PendingCall(f"{call_id}?{asked.round}", tool, arguments, asked.form)


@dataclass(frozen=True, slots=True)
class Resumption:
    """The state and the answers with which a call is made again.

    Attributes:
        answers: The person's answers to all that was asked last, by request and name.
        is_page: They are the consent to open a page, and so have no content.
    """

    state: str | None = field(repr=False)
    answers: Answers = field(repr=False)
    is_page: bool
