"""The command ``status``, which says what the assistant is doing for a person and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from app.approvals.approvals import Approval, Approvals
from app.chat.words import words_of
from app.delivery.store.unfinished import Unfinished
from app.messages import MessageState, StoredMessage

NOTHING = "I'm not working on anything for you right now."


class StatusCommand:
    """Says how the sender's messages stand, in all conversations; lives as long as the process and holds none."""

    def __init__(self, unfinished: Unfinished, approvals: Approvals) -> None:
        self._unfinished = unfinished
        self._approvals = approvals

    async def reply(self, message: StoredMessage) -> str | None:
        """Return the status; None when the message is anything else."""
        if words_of(message.text) != ("status",):
            return None
        counts = await self._unfinished.besides(message)
        pending = await self._approvals.pending(message.principal)
        lines = []
        if working := counts[MessageState.NEW] + counts[MessageState.RUNNING]:
            lines.append(f"I'm working on {_messages(working)}. Write `stop` where you asked to end it.")
        questions = [each for each in pending if each.call.form is not None and each.call.form.fields]
        if decisions := [each for each in pending if each not in questions]:
            codes = _codes(decisions)
            lines.append(f"I'm waiting for your decision on {codes}: write `approve` or `deny` and the code.")
        if questions:
            codes, first = _codes(questions), questions[0].code
            how = f"write `answer {first}` and your answer, or `deny {first}` to give none"
            lines.append(f"I'm waiting for your answer to {codes}: {how}.")
        if waiting := counts[MessageState.PARKED] - len({approval.message_id for approval in pending}):
            lines.append(f"I'm waiting for you to connect an account, for {_messages(waiting)}.")
        return "\n".join(lines) or NOTHING


def _codes(approvals: Sequence[Approval]) -> str:
    return ", ".join(f"`{approval.code}` ({approval.call.tool})" for approval in approvals)


def _messages(count: int) -> str:
    return "one message of yours" if count == 1 else f"{count} messages of yours"
