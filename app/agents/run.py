"""The state of an agent run that stopped to ask its person, and how it continues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai import DeferredToolRequests, DeferredToolResults, ToolDenied
from pydantic_ai.messages import ModelMessage

from app.agents.guard import (
    ANSWERS,
    APPROVAL_ID,
    ARGUMENTS,
    ASKED,
    CONNECTION,
    CONSENT_ANSWERED,
    CONSENT_SCOPES,
    CREDENTIAL_ID,
    DOING,
    FILES,
    MEMBER,
    OAUTH_SCOPES,
    QUESTION,
    RUN,
    WAITS_FOR,
)
from app.agents.organised import MAX_ORGANISED
from app.agents.refusals import UNKNOWN_EFFECT
from app.agents.work import below, through
from app.approvals.approvals import Approval, ApprovalState, PendingCall
from app.approvals.question import Question
from app.oauth.provider import GOOGLE
from app.toolkits.asides import with_aside
from app.toolkits.questions import GOES_ON, Asked, Resumption, pending_call

DECLINED_CALL = with_aside(
    "You said no, so nothing was done.", "The person denied this call; do not try it again unless they ask."
)
NOT_ANSWERED = with_aside(
    "You gave no answer, so I went no further with this. I do not know whether a part of it was done.",
    "The person declined to answer; do not try it again unless they ask.",
)


@dataclass(frozen=True, slots=True)
class StoppedCall:
    """A tool call that waits for its person: for their consent to these OAuth scopes, their approval or their answer.

    A call that asks a member of a team waits for the calls of that member's run.

    Attributes:
        waits_for: ``consent``, ``approval``, ``answer`` or ``member``.
        connection: The connection whose access it needs; None if it needs none.
        credential_id: The access with which a call is shown for approval; None where it needs none.
        question: How its person is asked for approval; None for a tool without words of its own.
        doing: The tool's work in words, if it waits for consent.
        member: The member that is asked, if it waits for one. In `StoppedRun.waiting`, the member that makes the call.
        run: The member's run, if it waits for one.
        files: The hash of each file that the person is shown, by its reference; the approval counts for these alone.
        asked: The question that the tool has asked in the middle of the call; None if it has asked nothing.
    """

    call_id: str
    tool: str
    waits_for: str
    oauth_scopes: tuple[str, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)
    credential_id: str | None = None
    question: Question | None = None
    doing: str = ""
    connection: str | None = GOOGLE  # runs that an earlier version parked do not say
    member: str = ""
    run: StoppedRun | None = field(default=None, repr=False)
    files: dict[str, str] = field(default_factory=dict, repr=False)
    asked: Asked | None = None

    @property
    def pending(self) -> PendingCall:
        """Return the call as its approval or answer is stored; each of its questions has an id of its own."""
        return pending_call(self.call_id, self.tool, self.arguments, self.asked)

    @property
    def in_words(self) -> str:
        """Return what its person was asked, or the tool where they were asked in no words of its own."""
        if self.asked is not None:
            return through(f"a question of the server {self.asked.form.asker}", self.member)
        return through(self.question.named(self.arguments) if self.question else f"`{self.tool}`", self.member)


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that waits for its person.

    Attributes:
        turn: The messages that the run has added to the history so far, the waiting calls last.
        calls: The waiting calls.
        organised: How many things were organised for the message so far, by all of its agents. A run that an earlier
            version of Deputy parked does not say, so no more are organised without approval.
    """

    turn: list[ModelMessage] = field(repr=False)
    calls: tuple[StoppedCall, ...]
    organised: int = MAX_ORGANISED

    @classmethod
    def of(cls, turn: list[ModelMessage], requests: DeferredToolRequests, organised: int = MAX_ORGANISED) -> StoppedRun:
        """Return the run that ended with these requests."""
        calls = []
        for part in requests.approvals:
            reason = requests.metadata[part.tool_call_id]
            calls.append(
                StoppedCall(
                    call_id=part.tool_call_id,
                    tool=part.tool_name,
                    waits_for=reason[WAITS_FOR],
                    oauth_scopes=tuple(reason.get(OAUTH_SCOPES, ())),
                    arguments=reason.get(ARGUMENTS, {}),
                    credential_id=reason.get(CREDENTIAL_ID),
                    question=reason.get(QUESTION),
                    doing=reason.get(DOING, ""),
                    connection=reason.get(CONNECTION),
                    member=reason.get(MEMBER, ""),
                    run=reason.get(RUN),
                    files=reason.get(FILES, {}),
                    asked=reason.get(ASKED),
                )
            )
        return cls(turn, tuple(calls), organised)

    @classmethod
    def load(cls, text: str) -> StoppedRun:
        """Return the run that `dump` wrote."""
        return _adapter().validate_json(text)

    def dump(self) -> str:
        """Return the run as JSON text that `load` can read, even if it holds half of a surrogate pair."""
        values = _adapter().dump_python(self, mode="json")
        return json.dumps(values, ensure_ascii=False).encode(errors="replace").decode()

    @property
    def waiting(self) -> list[StoppedCall]:
        """Return the calls that wait for the person, those of members included, with ids that differ in the message."""
        return list(self._waiting("", ""))

    def _waiting(self, place: str, member: str) -> Iterator[StoppedCall]:
        for call in self.calls:
            if call.run is None:
                yield replace(call, call_id=f"{place}{call.call_id}", member=member)
            else:
                yield from call.run._waiting(below(place, call.call_id), call.member)

    @property
    def connection(self) -> str | None:
        """Return the connection that the run waits for, one if there are several; None if it waits for approvals alone.

        The calls for another one wait again, and then for that one.
        """
        return next((call.connection for call in self.waiting if call.waits_for == "consent"), None)

    @property
    def oauth_scopes(self) -> frozenset[str]:
        """Return the OAuth scopes that the run waits for at its `connection`."""
        first = self.connection
        waiting = [call for call in self.waiting if call.waits_for == "consent" and call.connection == first]
        return frozenset(scope for call in waiting for scope in call.oauth_scopes)

    @property
    def credential_ids(self) -> dict[str, str]:
        """Return the access that the run continues with, by connection: that of the calls shown for approval."""
        if self.connection is not None:
            return {}
        shown = [(call.connection, call.credential_id) for call in self.waiting]
        return {name: credential_id for name, credential_id in reversed(shown) if name and credential_id}

    @property
    def pending_calls(self) -> list[PendingCall]:
        """Return the calls that the person has to approve, or whose questions they have to answer."""
        return [call.pending for call in self.waiting if call.waits_for in ("approval", "answer")]

    def results(self, *, granted: bool | None, approvals: Sequence[Approval]) -> DeferredToolResults:
        """Return the person's answers in the form in which pydantic-ai continues a run.

        A call that is tried again only because another one was answered stops at the guard once more.
        """
        decided = {approval.call.call_id: approval for approval in approvals}
        return self._results("", granted, self.connection, self.oauth_scopes, decided)

    def _results(
        self,
        place: str,
        granted: bool | None,
        connection: str | None,
        asked: frozenset[str],
        decided: Mapping[str, Approval],
    ) -> DeferredToolResults:
        answers = DeferredToolResults()
        answered = [] if granted is None else [connection]
        for call in self.calls:
            if call.run is not None:
                inner = call.run._results(below(place, call.call_id), granted, connection, asked, decided)
                answers.approvals[call.call_id] = True
                answers.metadata[call.call_id] = {RUN: call.run, ANSWERS: inner}
                continue
            approval = decided.get(f"{place}{call.pending.call_id}")
            approved = approval is not None and approval.state is ApprovalState.APPROVED
            refusal = _refusal(call, granted if call.connection == connection else None, approval)
            answers.approvals[call.call_id] = ToolDenied(refusal) if refusal else True
            answers.metadata[call.call_id] = {
                CONSENT_ANSWERED: answered,
                CONSENT_SCOPES: sorted(asked) if answered else [],
                APPROVAL_ID: approval.approval_id if approval and approved else None,
                CREDENTIAL_ID: call.credential_id,
                FILES: call.files,
                ASKED: call.asked,
                GOES_ON: _resumption(call, approval),
            }
        return answers


def _resumption(call: StoppedCall, approval: Approval | None) -> Resumption | None:
    if call.asked is None or approval is None:
        return None
    form = call.asked.form
    answers = approval.answers if approval.answers is not None else {request: {} for request in form.requests}
    return Resumption(call.asked.state, answers, is_page=bool(form.url))


def _refusal(call: StoppedCall, granted: bool | None, approval: Approval | None) -> str | None:
    if call.waits_for == "consent" and granted is False:
        return with_aside(
            "You did not connect your account, so nothing was read or done. Write "
            f"`connect {call.connection}` if you change your mind.",
            "The person declined; do not try it again.",
        )
    if approval is None or approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED):
        return None
    if approval.state in (ApprovalState.RUNNING, ApprovalState.DONE):
        return UNKNOWN_EFFECT
    return DECLINED_CALL if call.asked is None else NOT_ANSWERED


@cache
def _adapter() -> TypeAdapter[StoppedRun]:
    """Return the adapter, made when the first run stops, because it would take a twentieth of every start."""
    return TypeAdapter(StoppedRun)
