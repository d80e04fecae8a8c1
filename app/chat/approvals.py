"""The words by which a person decides on an approval: ``approve 3f2a`` or ``deny 3f2a``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.approvals.approvals import Approvals
from app.chat.words import words_of
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
    """Whoever waits for decisions."""

    async def approval_decided(self, principal: Principal, message_id: str) -> None:
        """Go on with this person's message if nothing of it waits any more."""
        ...


class ApprovalCommand:
    """Takes a person's decision; lives as long as the process and holds none."""

    def __init__(self, approvals: Approvals, waiting: Waiting) -> None:
        self._approvals = approvals
        self._waiting = waiting

    async def reply(self, message: StoredMessage) -> str | None:
        """Take the decision that a message consists of, and say so; None when it is anything else.

        A message that holds an open code and is no decision is asked about: no model is to see the code.
        """
        decision = find_decision(message.text)
        if decision is None:
            return await self._ask(message)
        approval = await self._approvals.decide(message.principal, decision.code, approved=decision.approved)
        if approval is None:
            return f"Nothing of yours waits under {decision.code}; it may be decided, expired or somebody else's."
        await self._waiting.approval_decided(message.principal, approval.message_id)
        return f"{'Approved' if decision.approved else 'Denied'}: {approval.call.tool}."

    async def _ask(self, message: StoredMessage) -> str | None:
        """Return how to decide, if a message names what waits for its sender's decision."""
        for code in filter(_is_code, words_of(message.text)):
            if await self._approvals.is_pending(message.principal, code):
                return f"To decide, send me only `approve {code}` or `deny {code}`."
        return None
