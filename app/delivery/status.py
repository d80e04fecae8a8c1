"""What there is to tell about a message: its answer, or what its person has to do first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.approvals.approvals import Approval, Approvals, ApprovalState
from app.credentials.consent import Consent, SignIn, Stage
from app.credentials.link import Place
from app.delivery.parking import Parking, WaitsFor
from app.messages import MessageState, StoredMessage


@dataclass(frozen=True, slots=True)
class Status:
    """What to tell the sender of a message, and nobody else unless it is not private.

    Attributes:
        sign_in: For a message that waits for consent: how the sign-in stands.
        approvals: For a message that waits for approval: what waits.
    """

    state: MessageState
    waits_for: WaitsFor | None
    answer: str | None = field(repr=False)
    sign_in: SignIn | None
    approvals: tuple[Approval, ...]
    private: bool


class Statuses:
    """Finds out what there is to tell; lives as long as the process and holds nothing."""

    def __init__(self, parking: Parking, approvals: Approvals, consent: Consent) -> None:
        self._parking = parking
        self._approvals = approvals
        self._consent = consent

    async def of(self, message: StoredMessage) -> Status:
        """What there is to tell about a message in the state that it was read in."""
        parked = await self._parking.find(message) if message.state is MessageState.PARKED else None
        if parked is None:
            return Status(message.state, None, message.answer, None, (), message.private)
        sign_in = await self._consent.sign_in(message.principal, parked.link_id) if parked.link_id else None
        asked = await self._approvals.of_message(message.principal, message.message_id)
        pending = tuple(approval for approval in asked if approval.state is ApprovalState.PENDING)
        return Status(message.state, parked.waits_for, None, sign_in, pending, private=True)


def in_words(status: Status) -> str | None:
    """The status as a chat message, Markdown; None when there is nothing to tell yet."""
    if status.state in (MessageState.DONE, MessageState.FAILED):
        return status.answer
    if status.sign_in is not None:
        return _ask_to_sign_in(status.sign_in)
    if status.waits_for is WaitsFor.APPROVAL and status.approvals:
        return _ask_for_approval(status.approvals)
    return None


def _ask_to_sign_in(sign_in: SignIn) -> str:
    if sign_in.stage is Stage.LINK:
        return (
            "For this I need access to your Google account. Connect it here, for yourself alone, and I answer by "
            f"myself: {sign_in.url}"
        )
    if sign_in.stage is Stage.WINDOW:
        return "Finish connecting your Google account in the window that you opened; then I answer by myself."
    if sign_in.stage is Stage.CODE:
        where = "here" if sign_in.place is Place.DIRECT else "to me in a direct message, not in this group"
        return (
            f"A sign-in by your link waits for its code. If it was you, write `confirm` and the code that the page "
            f"shows, {where}. If it was not, do nothing, and take a code from nobody: it would connect *their* account."
        )
    return "The link is over and nothing was connected. Write `connect google` for a new one; then I answer this."


def _ask_for_approval(approvals: Sequence[Approval]) -> str:
    asked = []
    for approval in approvals:
        arguments = "\n".join(f"    {name}: {_exactly(value)}" for name, value in approval.call.arguments.items())
        asked.append(
            f"Shall I run {approval.call.tool}?\n{arguments}\n"
            f"Write `approve {approval.code}` or `deny {approval.code}`."
        )
    return "\n\n".join(asked)


def _exactly(value: object) -> str:
    """A value as it is, in a form that no value can use to look like another argument or to hide a part of itself."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    lines = ("".join(_visible(character) for character in line) for line in text.split("\n"))
    return "\n      | ".join(lines)


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
