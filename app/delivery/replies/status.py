"""The status of a message in words: its answer, or what its sender has to do first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.agents.run import StoppedCall, StoppedRun
from app.agents.work import through
from app.approvals.approvals import Approval, Approvals, ApprovalState
from app.approvals.form import Form
from app.approvals.question import Question, ask, within
from app.consent.flow import Consent, SignIn, SignInStage
from app.consent.link import Place
from app.delivery.store.inbox import Inbox
from app.delivery.store.parked_run import ParkedRun, WaitsFor
from app.delivery.store.parking import Parking
from app.grants.accounts import Account, Accounts
from app.messages import MessageState, StoredMessage
from app.oauth.provider import Permission, unworded
from app.principal import Principal
from app.reply import Button, ButtonStyle, ReplyContent
from app.sent_files import FileReference

_REPLACED = "I have sent you a newer link since, which replaces this one. Please use that one."
_LINK_USED = "This link has been used or has expired. Write `connect {}` for a new one."


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a message, for its sender's eyes alone if it is private.

    Attributes:
        sign_in: The state of the sign-in, if the message waits for consent.
        needs: For such a message, the permissions that each tool needs, in Google's words.
        doing: For such a message, what each tool does, in words.
        approvals: The pending approvals, if the message waits for approval.
        accounts: By the id of a pending call, the account that it would use, if the person has several at its provider.
        questions: By the same ids, the question that is asked, for tools that word it themselves.
        members: By the same ids, the member of a team that asks, unless the agent itself does.
        link: The state of the sign-in whose link the answer shows, if it shows one.
        attempt: The message's attempt; with the state it says for which version of the message this holds.
        seconds_left: How long the person can still decide on the approvals.
        files: The files that go with the answer.
    """

    state: MessageState
    waits_for: WaitsFor | None
    answer: str | None = field(repr=False)
    sign_in: SignIn | None
    approvals: tuple[Approval, ...]
    private: bool
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doing: Mapping[str, str] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)
    link: SignIn | None = None
    attempt: int = 0
    seconds_left: float = 0.0
    files: tuple[FileReference, ...] = ()


class Statuses:
    """Finds out the status of messages; lives as long as the process and holds nothing.

    Args:
        permission: Returns what an OAuth scope of a connection permits, in words.
    """

    def __init__(
        self,
        inbox: Inbox,
        parking: Parking,
        approvals: Approvals,
        consent: Consent,
        accounts: Accounts,
        permission: Permission = unworded,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._inbox = inbox
        self._now = now
        self._parking = parking
        self._approvals = approvals
        self._consent = consent
        self._accounts = accounts
        self._permission = permission

    async def of(self, message: StoredMessage) -> Status:
        """Return the status of a message: in the state in which it was read, unless its wait has ended since.

        A sign-in may be confirmed after the message was read. It must not be reported as over then.
        """
        while (status := await self._of(message)).state is MessageState.PARKED:
            now = await self._inbox.get(message.principal, message.message_id)
            if now.version == message.version:
                break
            message = now
        return status

    async def _of(self, message: StoredMessage) -> Status:
        parked = await self._parking.find(message) if message.state is MessageState.PARKED else None
        if parked is None:
            private = message.private or message.state is MessageState.FAILED  # an apology says what was asked for
            link = await self._consent.sign_in(message.principal, message.link_id) if message.link_id else None
            answer = _answer(message, link)
            return Status(
                message.state,
                None,
                answer,
                None,
                (),
                private,
                link=link,
                attempt=message.attempt,
                files=message.files if message.state is MessageState.DONE else (),
            )
        sign_in = await self._consent.sign_in(message.principal, parked.link_id) if parked.link_id else None
        asked = await self._approvals.of_message(message.principal, message.message_id)
        pending = tuple(approval for approval in asked if approval.state is ApprovalState.PENDING)
        calls = StoppedRun.load(parked.run).waiting
        needs = self._needs(calls) if sign_in else {}
        accounts = await self._accounts_of(message.principal, parked) if pending else {}
        questions = {call.pending.call_id: call.question for call in calls if pending and call.question}
        return Status(
            message.state,
            parked.waits_for,
            None,
            sign_in,
            pending,
            private=True,
            needs=needs,
            doing={call.tool: through(call.doing, call.member) for call in calls if call.doing},
            accounts=accounts,
            questions=questions,
            members={call.pending.call_id: call.member for call in calls if pending and call.member},
            attempt=message.attempt,
            seconds_left=max(0.0, min((each.expires_at for each in pending), default=0.0) - self._now()),
        )

    def _needs(self, calls: Sequence[StoppedCall]) -> dict[str, tuple[str, ...]]:
        waiting = [call for call in calls if call.waits_for == "consent"]
        return {
            call.tool: tuple(self._permission(scope, call.connection) for scope in call.oauth_scopes)
            for call in waiting
        }

    async def _accounts_of(self, principal: Principal, parked: ParkedRun) -> dict[str, Account]:
        """Return the account of each pending call, by the call's id, where the person has several at its provider."""
        listed = await self._accounts.list(principal)
        at = Counter(account.provider for account in listed)
        several = {account.grant_id: account for account in listed if at[account.provider] > 1}
        calls = StoppedRun.load(parked.run).waiting if several else ()
        return {call.pending.call_id: several[call.credential_id] for call in calls if call.credential_id in several}


def in_words(status: Status) -> ReplyContent | None:
    """Return the status as a reply; None if there is nothing to say yet."""
    if status.state in (MessageState.DONE, MessageState.FAILED):
        return None if status.answer is None else ReplyContent(status.answer, _to_sign_in(status.link))
    if status.sign_in is not None:
        return _ask_to_sign_in(status.sign_in, status.needs, status.doing)
    if status.waits_for is WaitsFor.APPROVAL and status.approvals:
        return _ask_for_approval(status)
    return None


def _answer(message: StoredMessage, link: SignIn | None) -> str | None:
    """Return the answer, with its consent link if that can be opened."""
    if link is None or message.answer is None:
        return message.answer
    if link.url:
        return f"Connect a {link.title} account (this link is only for you): {link.url}\n{message.answer}"
    return _REPLACED if link.stage is SignInStage.REPLACED else _LINK_USED.format(link.provider)


def _to_sign_in(sign_in: SignIn | None) -> tuple[Button, ...]:
    if sign_in is None or not sign_in.url:
        return ()
    return (Button(f"Connect {sign_in.title}", url=sign_in.url, style=ButtonStyle.PRIMARY),)


def _ask_to_sign_in(sign_in: SignIn, needs: Mapping[str, Sequence[str]], doing: Mapping[str, str]) -> ReplyContent:
    again = f"connect {sign_in.provider}"
    if sign_in.stage is SignInStage.LINK:
        wanted = "\n".join(
            f"- {'; '.join(permissions) or 'use your account'} (for {doing.get(tool, tool)})"
            for tool, permissions in needs.items()
        )
        return ReplyContent(
            f"For this I need your permission at {sign_in.title}:\n{wanted}\nConnect your {sign_in.title} account "
            f"(this link is only for you and works once): {sign_in.url}\nI'll answer as soon as you have.",
            _to_sign_in(sign_in),
        )
    if sign_in.stage is SignInStage.WINDOW:
        return ReplyContent(
            f"Please finish connecting your {sign_in.title} account in the window that you opened. I'll answer as soon "
            f"as you have. If the window is gone, write `{again}` for a new link.",
            (Button("Send a new link", command=again),),
        )
    if sign_in.stage is SignInStage.CODE:
        where = "here" if sign_in.place is Place.DIRECT else "to me in a direct message, not in the group"
        return ReplyContent(
            f"Almost done: send `confirm` and the code from the page {where}. Was it not you who signed in? Then "
            "ignore this, and never send me a code that somebody gave you: it would connect *their* account to you."
        )
    if sign_in.stage is SignInStage.REPLACED:
        return ReplyContent(f"{_REPLACED} I'll answer this once you have connected.")
    return ReplyContent(
        f"The link expired before an account was connected. Write `{again}` for a new one; I'll answer this once "
        "you have connected.",
        (Button("Send a new link", command=again, style=ButtonStyle.PRIMARY),),
    )


def _ask_for_approval(status: Status) -> ReplyContent:
    asked, buttons = [], []
    for approval in status.approvals:
        account = status.accounts.get(approval.call.call_id)
        as_whom = f"{account.alias}: {account.email}" if account else ""
        question = status.questions.get(approval.call.call_id)
        member = status.members.get(approval.call.call_id, "")
        asked.append(ask(approval, question, as_whom, status.seconds_left, member))
        of_several = f" {approval.code}" if len(status.approvals) > 1 else ""
        if (form := approval.call.form) is not None:
            asked[-1] = form.shown(approval.code, within(status.seconds_left), as_whom, member)
            buttons += _answers(approval.code, form, of_several)
            continue
        buttons += [
            Button(f"Approve{of_several}", command=f"approve {approval.code}", style=ButtonStyle.PRIMARY),
            Button(f"Deny{of_several}", command=f"deny {approval.code}", style=ButtonStyle.DANGER),
        ]
    return ReplyContent("\n\n".join(asked), tuple(buttons), verbatim=True)


def _answers(code: str, form: Form, of_several: str) -> list[Button]:
    """Return the buttons below a question that a tool asks."""
    answers = [Button(f"{label}{of_several}", command=f"answer {code} {words}") for label, words in form.buttons()]
    if not form.fields:
        answers = [Button(f"Done{of_several}" if form.url else f"Agree{of_several}", command=f"approve {code}")]
    if form.url:
        answers.insert(0, Button(f"Open {form.host}"[:60], url=form.url))
    return [*answers, Button(f"No answer{of_several}", command=f"deny {code}", style=ButtonStyle.DANGER)]
