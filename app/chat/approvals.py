"""The words by which a person decides on an approval: ``approve 3f2a`` or ``deny 3f2a``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.approvals.approvals import Approval, Approvals, ApprovalState
from app.chat.words import words_of
from app.durations import in_words
from app.messages import StoredMessage
from app.principal import Principal

_HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Decision:
    """``approve 3f2a`` or ``deny 3f2a``, read."""

    code: str
    approved: bool


def find_decision(text: str) -> Decision | None:
    """Return the decision that a message consists of, or None when it is anything else."""
    match words_of(text):
        case ("approve" | "deny" as word, code) if _is_code(code):
            return Decision(code, word == "approve")
        case _:
            return None


def _is_code(word: str) -> bool:
    return 4 <= len(word) <= 8 and set(word) <= _HEXADECIMAL


class Waiting(Protocol):
    """Continues messages that wait for decisions."""

    async def approval_decided(self, principal: Principal, message_id: str) -> None:
        """Continue this person's message if none of its approvals is pending."""
        ...


def _not_open(code: str, approval: Approval | None, now: float) -> str:
    """Return why a person cannot decide on an approval."""
    if approval is None:
        return f"You have no pending approval `{code}`."
    when = "" if approval.decided_at is None else f" {in_words(max(0.0, now - approval.decided_at))} ago"
    if approval.state is ApprovalState.DENIED:
        return f"`{code}` is no longer open: you denied it{when}."
    if approval.state in (ApprovalState.PENDING, ApprovalState.EXPIRED):
        return f"`{code}` is no longer open: it has expired. Ask again if you still want it."
    return f"`{code}` is no longer open: you approved it{when}."


class ApprovalCommand:
    """Takes a person's decision; lives as long as the process and holds none."""

    def __init__(self, approvals: Approvals, waiting: Waiting, now: Callable[[], float] = time.time) -> None:
        self._approvals = approvals
        self._waiting = waiting
        self._now = now

    async def reply(self, message: StoredMessage) -> str | None:
        """Take the decision that a message consists of, and say so; None when it is anything else.

        A message that holds an open code and is no decision is asked about: no model is to see the code.
        """
        decision = find_decision(message.text)
        if decision is None:
            return await self._ask(message)
        approval = await self._approvals.decide(message.principal, decision.code, approved=decision.approved)
        if approval is None:
            found = await self._approvals.find(message.principal, decision.code)
            return _not_open(decision.code, found, self._now())
        await self._waiting.approval_decided(message.principal, approval.message_id)
        reply = "Approved, I'm on it." if decision.approved else "OK, I won't do it."
        asked = await self._approvals.of_message(message.principal, approval.message_id)
        if pending := [f"`{each.code}`" for each in asked if each.state is ApprovalState.PENDING]:
            reply += f" I'm still waiting for your decision on {', '.join(pending)}."
        return reply

    async def _ask(self, message: StoredMessage) -> str | None:
        """Return how to decide, if a message names what waits for its sender's decision."""
        for code in filter(_is_code, words_of(message.text)):
            if await self._approvals.is_pending(message.principal, code):
                return f"To decide, send me only `approve {code}` or `deny {code}`."
        return None
