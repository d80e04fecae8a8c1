"""The words by which a person decides on an approval: ``approve 3f2a`` or ``deny 3f2a``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from app.approvals.approvals import Approvals
from app.messages import StoredMessage
from app.principal import Principal

_WORDS = re.compile(r"\s*(approve|deny)\s+([0-9a-f]{4,8})\s*[.!]?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Decision:
    """``approve 3f2a`` or ``deny 3f2a``, read."""

    code: str
    approved: bool


def find_decision(text: str) -> Decision | None:
    """The decision that a message consists of, or None when it is anything else."""
    match = _WORDS.fullmatch(text)
    return Decision(match[2].lower(), match[1].lower() == "approve") if match else None


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
        """Take the decision that a message consists of, and say so; None when it is anything else."""
        decision = find_decision(message.text)
        if decision is None:
            return None
        approval = await self._approvals.decide(message.principal, decision.code, approved=decision.approved)
        if approval is None:
            return f"Nothing of yours waits under {decision.code}; it may be decided, expired or somebody else's."
        await self._waiting.approval_decided(message.principal, approval.message_id)
        return f"{'Approved' if decision.approved else 'Denied'}: {approval.call.tool}."
