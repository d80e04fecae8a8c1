"""The words by which a person decides: ``approve 3f2a``, ``deny 3f2a``, or ``answer 3f2a`` and what a tool asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.approvals.approvals import Approval, Approvals, ApprovalState
from app.chat.answers import GivenAnswer, find_answer, how_to_answer, is_code
from app.chat.words import pieces_of, words_of
from app.durations import in_words
from app.messages import StoredMessage
from app.principal import Principal

_WITHOUT_CODE = {("approve",), ("deny",)}
_SHORT_ANSWERS = {(word,) for word in ("yes", "y", "ok", "okay", "yep", "sure", "no", "n", "nope")} | {("go", "ahead")}
_NOTHING = "Nothing waits for your decision."


@dataclass(frozen=True, slots=True)
class Decision:
    """``approve 3f2a`` or ``deny 3f2a``, read."""

    code: str
    approved: bool


def find_decision(text: str) -> Decision | None:
    """Return the decision that a message consists of, or None when it is anything else."""
    match words_of(text):
        case ("approve" | "deny" as word, code) if is_code(code):
            return Decision(code, word == "approve")
        case _:
            return None


class Waiting(Protocol):
    """Continues messages that wait for decisions."""

    async def approval_decided(self, principal: Principal, message_id: str) -> None:
        """Continue this person's message if none of its approvals is pending."""
        ...


def _not_open(code: str, approval: Approval | None, now: float) -> str:
    """Return why a person cannot decide on an approval."""
    if approval is None:
        return f"You have no pending approval `{code}`."
    did = "approved" if approval.call.form is None else "answered"
    when = "" if approval.decided_at is None else f" {in_words(max(0.0, now - approval.decided_at))} ago"
    if approval.state is ApprovalState.DENIED:
        return f"`{code}` is no longer open: you denied it{when}."
    if approval.state in (ApprovalState.PENDING, ApprovalState.EXPIRED):
        return f"`{code}` is no longer open: it has expired. Ask again if you still want it."
    return f"`{code}` is no longer open: you {did} it{when}."


class ApprovalCommand:
    """Takes a person's decision; lives as long as the process and holds none."""

    def __init__(self, approvals: Approvals, waiting: Waiting, now: Callable[[], float] = time.time) -> None:
        self._approvals = approvals
        self._waiting = waiting
        self._now = now

    async def reply(self, message: StoredMessage) -> str | None:
        """Take the decision that a message consists of, and say so; None when it is anything else.

        A message that holds a code or means a decision, but is none, is asked about: no model is to see a code.
        """
        if (answer := find_answer(message.text)) is not None:
            told = await self._answer(message.principal, answer)
            if told is not None:
                return told
        decision = find_decision(message.text)
        if decision is None:
            return await self._ask(message)
        asked = await self._open(message.principal, decision.code) if decision.approved else None
        if asked is not None and asked.call.form is not None and asked.call.form.fields:
            return how_to_answer(asked)
        approval = await self._approvals.decide(message.principal, decision.code, approved=decision.approved)
        if approval is None:
            found = await self._approvals.find(message.principal, decision.code)
            return _not_open(decision.code, found, self._now())
        if approval.call.form is None:
            reply = "Approved, I'm on it." if decision.approved else "OK, I won't do it."
        else:
            reply = "Thank you, I'm going on." if decision.approved else "OK, I gave no answer."
        return await self._decided(message.principal, approval, reply)

    async def _answer(self, principal: Principal, answer: GivenAnswer) -> str | None:
        """Take a person's answer to a tool's question, and say so; None if it must be an ordinary sentence."""
        asked = await self._open(principal, answer.code)
        if asked is None:
            found = await self._approvals.find(principal, answer.code)
            if found is None and answer.code.isdigit() and not await self._approvals.pending(principal):
                return None  # such as "answer 2024 questions"
            return _not_open(answer.code, found, self._now())
        if asked.call.form is None:
            return _how_to_decide([answer.code])
        try:
            answers = asked.call.form.read(answer.text)
        except ValueError as error:
            return f"{error} {how_to_answer(asked)}"
        approval = await self._approvals.decide(principal, answer.code, approved=True, answers=answers)
        if approval is None:  # it was answered in the meantime
            return _not_open(answer.code, await self._approvals.find(principal, answer.code), self._now())
        return await self._decided(principal, approval, "Thank you, I'm passing it on.")

    async def _open(self, principal: Principal, code: str) -> Approval | None:
        """Return what this person can decide on by this code, or None."""
        return next((each for each in await self._approvals.pending(principal) if each.code == code), None)

    async def _decided(self, principal: Principal, approval: Approval, reply: str) -> str:
        """Let the message go on, and return the reply with what it still waits for."""
        await self._waiting.approval_decided(principal, approval.message_id)
        asked = await self._approvals.of_message(principal, approval.message_id)
        if pending := [f"`{each.code}`" for each in asked if each.state is ApprovalState.PENDING]:
            reply += f" I'm still waiting for your decision on {', '.join(pending)}."
        return reply

    async def _ask(self, message: StoredMessage) -> str | None:
        """Return how to decide, if a message names or means what waits for its sender's decision."""
        words, codes = words_of(message.text), _codes_in(message.text)
        if not codes and words not in _WITHOUT_CODE | _SHORT_ANSWERS:
            return None
        pending = [approval.code for approval in await self._approvals.pending(message.principal)]
        if named := [code for code in pending if code in codes]:
            return _how_to_decide(named)
        if codes:
            only = words[0] if len(words) == 1 else ""
            decided = await self._approvals.find(message.principal, only) if is_code(only) else None
            return _not_open(only, decided, self._now()) if decided is not None else None
        if pending:
            about = "" if words in _WITHOUT_CODE else " If you meant something else, please say it in more words."
            return _how_to_decide(pending) + about
        return _NOTHING if words in _WITHOUT_CODE else None


def _codes_in(text: str) -> frozenset[str]:
    return frozenset(part for piece in pieces_of(text) for part in piece.split("-") if is_code(part))


def _how_to_decide(codes: list[str]) -> str:
    if len(codes) == 1:
        return f"To decide, send me only `approve {codes[0]}` or `deny {codes[0]}`."
    several = ", ".join(f"`{code}`" for code in codes)
    return f"I'm waiting for your decision on {several}. Send me `approve` or `deny` and one of them."
