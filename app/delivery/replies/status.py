"""What there is to tell about a message: its answer, or what its person has to do first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.agents.run import StoppedRun
from app.approvals.approvals import Approval, Approvals, ApprovalState
from app.approvals.question import Question, ask
from app.consent.flow import Consent, SignIn, Stage
from app.consent.link import Place
from app.delivery.store.parked_run import ParkedRun, WaitsFor
from app.delivery.store.parking import Parking
from app.grants.accounts import Account, Accounts
from app.messages import MessageState, StoredMessage
from app.principal import Principal

_LINK_OVER = "This link was opened or is over. Write `connect google` for a new one."


@dataclass(frozen=True, slots=True)
class Status:
    """What to tell the sender of a message, and nobody else unless it is not private.

    Attributes:
        sign_in: For a message that waits for consent: how the sign-in stands.
        needs: For such a message: which tool needs what at Google, in Google's words.
        approvals: For a message that waits for approval: what waits.
        accounts: By the ids of the calls that wait: with which of several Google accounts each would run.
        questions: By the same ids: how their person is asked, for tools that have words of their own.
    """

    state: MessageState
    waits_for: WaitsFor | None
    answer: str | None = field(repr=False)
    sign_in: SignIn | None
    approvals: tuple[Approval, ...]
    private: bool
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)


class Statuses:
    """Finds out what there is to tell; lives as long as the process and holds nothing.

    Args:
        permission: What an OAuth scope permits, in words.
    """

    def __init__(
        self,
        parking: Parking,
        approvals: Approvals,
        consent: Consent,
        accounts: Accounts,
        permission: Callable[[str], str] = str,
    ) -> None:
        self._parking = parking
        self._approvals = approvals
        self._consent = consent
        self._accounts = accounts
        self._permission = permission

    async def of(self, message: StoredMessage) -> Status:
        """What there is to tell about a message in the state that it was read in."""
        parked = await self._parking.find(message) if message.state is MessageState.PARKED else None
        if parked is None:
            private = message.private or message.state is MessageState.FAILED  # an apology says what was asked for
            return Status(message.state, None, await self._answer(message), None, (), private)
        sign_in = await self._consent.sign_in(message.principal, parked.link_id) if parked.link_id else None
        asked = await self._approvals.of_message(message.principal, message.message_id)
        pending = tuple(approval for approval in asked if approval.state is ApprovalState.PENDING)
        needs = self._needs(parked) if sign_in else {}
        accounts = await self._accounts_of(message.principal, parked) if pending else {}
        calls = StoppedRun.load(parked.run).calls if pending else ()
        questions = {call.call_id: call.question for call in calls if call.question}
        return Status(
            message.state,
            parked.waits_for,
            None,
            sign_in,
            pending,
            private=True,
            needs=needs,
            accounts=accounts,
            questions=questions,
        )

    async def _answer(self, message: StoredMessage) -> str | None:
        """The answer, with the consent link that it shows, while that may be opened."""
        if message.link_id is None or message.answer is None:
            return message.answer
        url = (await self._consent.sign_in(message.principal, message.link_id)).url
        return f"Connect a Google account here, for yourself alone: {url}\n{message.answer}" if url else _LINK_OVER

    def _needs(self, parked: ParkedRun) -> dict[str, tuple[str, ...]]:
        calls = StoppedRun.load(parked.run).calls
        return {call.tool: tuple(map(self._permission, call.oauth_scopes)) for call in calls if call.oauth_scopes}

    async def _accounts_of(self, principal: Principal, parked: ParkedRun) -> dict[str, Account]:
        """With which account each call waits, by its id; nothing for a person who has no second one."""
        accounts = {account.grant_id: account for account in await self._accounts.list(principal)}
        if len(accounts) < 2:
            return {}
        calls = StoppedRun.load(parked.run).calls
        return {call.call_id: accounts[call.credential_id] for call in calls if call.credential_id in accounts}


def in_words(status: Status) -> str | None:
    """The status as a chat message, Markdown; None when there is nothing to tell yet."""
    if status.state in (MessageState.DONE, MessageState.FAILED):
        return status.answer
    if status.sign_in is not None:
        return _ask_to_sign_in(status.sign_in, status.needs)
    if status.waits_for is WaitsFor.APPROVAL and status.approvals:
        return _ask_for_approval(status)
    return None


def _ask_to_sign_in(sign_in: SignIn, needs: Mapping[str, Sequence[str]]) -> str:
    if sign_in.stage is Stage.LINK:
        wanted = "\n".join(f"- {tool}: {'; '.join(permissions)}" for tool, permissions in needs.items())
        return (
            f"For this I need access to your Google account:\n{wanted}\nConnect it here, for yourself alone, and I "
            f"answer by myself: {sign_in.url}"
        )
    if sign_in.stage is Stage.WINDOW:
        return (
            "Finish connecting your Google account in the window that you opened; then I answer by myself. If it is "
            "gone, write `connect google` for a new link."
        )
    if sign_in.stage is Stage.CODE:
        where = "here" if sign_in.place is Place.DIRECT else "to me in a direct message, not in this group"
        return (
            f"A sign-in by your link waits for its code. If it was you, write `confirm` and the code that the page "
            f"shows, {where}. If it was not, do nothing, and take a code from nobody: it would connect *their* account."
        )
    return "The link is over and nothing was connected. Write `connect google` for a new one; then I answer this."


def _ask_for_approval(status: Status) -> str:
    asked = []
    for approval in status.approvals:
        account = status.accounts.get(approval.call.call_id)
        as_whom = f"{account.alias}: {account.email}" if account else ""
        asked.append(ask(approval, status.questions.get(approval.call.call_id), as_whom))
    return "\n\n".join(asked)
