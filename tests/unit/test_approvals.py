"""Approvals at rest, and the words by which a person decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.approvals.approvals import Approval, Approvals, ApprovalState, PendingCall
from app.audit.audit import Audit, AuditEntry, AuditEvent, AuditSearch
from app.chat.approvals import Decision, find_decision
from app.database.database import Database
from app.delivery.store.inbox import Inbox
from app.principal import Principal
from tests.fakes.core_server import inbound
from tests.fakes.sandbox import Clock

SEND = PendingCall("call-1", "letters_send", {"to": "bob@example.com"})


class AskingRuns:
    """Runs that ask for approvals, each for a message that is stored."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.approvals = Approvals(database, self.clock)
        self._database = database
        self._inbox = Inbox(database, self.clock)

    async def ask(self, person: Principal, *calls: PendingCall) -> list[Approval]:
        """Ask for approval of these calls for a new message, and return the approvals."""
        message, _ = await self._inbox.accept(inbound(person, conversation=person.user))
        async with self._database.writing() as connection:
            await self.approvals.ask(connection, person, message.message_id, calls, expires_at=self.clock.now + 60)
        return await self.approvals.of_message(person, message.message_id)

    async def state(self, approval: Approval) -> ApprovalState:
        """Return the current state of an approval."""
        (found,) = await self.approvals.of_message(approval.principal, approval.message_id)
        return found.state


@pytest.fixture
def runs(database: Database) -> AskingRuns:
    """Return runs that have asked for nothing yet."""
    return AskingRuns(database)


async def test_what_is_asked_is_stored_exactly(runs: AskingRuns, ada: Principal, grace: Principal) -> None:
    """Each person finds their own call, exactly as it will run, and nobody else's."""
    (mine,), (theirs,) = await runs.ask(ada, SEND), await runs.ask(grace, replace(SEND, arguments={"to": "eve"}))

    assert (mine.principal, mine.call, mine.state) == (ada, SEND, ApprovalState.PENDING)
    assert theirs.call.arguments == {"to": "eve"}
    assert await runs.approvals.of_message(grace, mine.message_id) == []


async def test_decisions_are_audited(database: Database, runs: AskingRuns, ada: Principal, grace: Principal) -> None:
    """The audit shows who approved or denied which call and when; a decision without effect leaves no row."""
    (mine,), (theirs,) = await runs.ask(ada, SEND), await runs.ask(grace, SEND)
    if mine.code != theirs.code:
        assert await runs.approvals.decide(grace, mine.code, approved=True) is None
    for _ in range(2):
        await runs.approvals.decide(ada, mine.code, approved=True)
        await runs.approvals.decide(grace, theirs.code, approved=False)
    audit, at = Audit(database), runs.clock.now

    for asked, event in ((mine, AuditEvent.APPROVE), (theirs, AuditEvent.DENY)):
        row = AuditEntry(asked.principal, event, at, asked.message_id, asked.approval_id, "letters_send")
        assert await audit.find(AuditSearch(principal=asked.principal)) == [row]


async def test_only_the_person_who_was_asked_decides(runs: AskingRuns, ada: Principal, grace: Principal) -> None:
    """A code works only for the person who was asked, not for another user, tenant or platform."""
    (mine,) = await runs.ask(ada, SEND)
    strangers = [grace, replace(ada, tenant="other"), replace(ada, platform="slack")]

    decided = [await runs.approvals.decide(each, mine.code, approved=True) for each in strangers]

    assert decided == [None, None, None]
    assert await runs.state(mine) is ApprovalState.PENDING
    assert await runs.approvals.decide(ada, mine.code, approved=True) is not None


async def test_a_decision_counts_once(runs: AskingRuns, ada: Principal) -> None:
    """Of several concurrent decisions one counts, and no later one changes it."""
    (approval,) = await runs.ask(ada, SEND)
    code = approval.code.upper()

    decided = await asyncio.gather(*(runs.approvals.decide(ada, code, approved=yes) for yes in (True, False) * 3))

    assert sum(each is not None for each in decided) == 1
    assert await runs.state(approval) in (ApprovalState.APPROVED, ApprovalState.DENIED)
    assert await runs.approvals.decide(ada, code, approved=False) is None


async def test_an_expired_approval_cannot_be_given(runs: AskingRuns, ada: Principal) -> None:
    """A code does nothing after it has expired."""
    (approval,) = await runs.ask(ada, SEND)
    runs.clock.now += 61

    assert await runs.approvals.decide(ada, approval.code, approved=True) is None
    assert await runs.state(approval) is ApprovalState.PENDING


async def test_of_many_claims_at_once_one_succeeds(runs: AskingRuns, ada: Principal) -> None:
    """An approved call is claimed once, however many try, and neither before its approval nor after it has run."""
    (approval,) = await runs.ask(ada, SEND)
    assert not await runs.approvals.claim(ada, approval.approval_id, SEND)
    await runs.approvals.decide(ada, approval.code, approved=True)

    claims = await asyncio.gather(*(runs.approvals.claim(ada, approval.approval_id, SEND) for _ in range(10)))
    await runs.approvals.complete(ada, approval.approval_id)

    assert sorted(claims) == [False] * 9 + [True]
    assert not await runs.approvals.claim(ada, approval.approval_id, SEND)
    assert await runs.state(approval) is ApprovalState.DONE


async def test_nobody_claims_or_completes_what_another_person_approved(
    runs: AskingRuns, ada: Principal, grace: Principal
) -> None:
    """An approval's id is useless in another person's request."""
    (approval,) = await runs.ask(ada, SEND)
    await runs.approvals.decide(ada, approval.code, approved=True)

    assert not await runs.approvals.claim(grace, approval.approval_id, SEND)
    assert await runs.approvals.claim(ada, approval.approval_id, SEND)
    await runs.approvals.complete(grace, approval.approval_id)
    assert await runs.state(approval) is ApprovalState.RUNNING


@pytest.mark.parametrize(
    "other",
    [
        replace(SEND, arguments={"to": "bob@example.org"}),
        replace(SEND, arguments={"to": "bob@example.com", "text": ""}),
        replace(SEND, tool="letters_shout"),
        replace(SEND, call_id="call-2"),
    ],
)
async def test_a_claim_is_for_what_was_shown_only(runs: AskingRuns, ada: Principal, other: PendingCall) -> None:
    """A call with another argument, tool or id is not what the person approved."""
    (approval,) = await runs.ask(ada, SEND)
    await runs.approvals.decide(ada, approval.code, approved=True)

    assert not await runs.approvals.claim(ada, approval.approval_id, other)
    assert await runs.approvals.claim(ada, approval.approval_id, SEND)


@pytest.mark.parametrize(
    "arguments",
    [
        {"volume": 1.0, "third": 1 / 3, "big": 1e300, "whole": 10**20},
        {"text": "Grüße, 你好 👩🏽‍🚀 \u202e \x00", "quote": '"\\'},
        {"nested": {"b": [1, {"z": None, "a": True}], "a": []}, "a": ""},
        {},
    ],
)
async def test_equal_arguments_are_claimed_in_whatever_order(
    runs: AskingRuns, ada: Principal, arguments: dict[str, Any]
) -> None:
    """Floats, any script and nested values equal themselves, regardless of the order of their keys."""
    (approval,) = await runs.ask(ada, replace(SEND, arguments=arguments))
    await runs.approvals.decide(ada, approval.code, approved=True)

    assert approval.call.arguments == arguments
    turned = dict(reversed(arguments.items()))
    assert await runs.approvals.claim(ada, approval.approval_id, replace(SEND, arguments=turned))


async def test_codes_are_told_apart(runs: AskingRuns, ada: Principal, grace: Principal) -> None:
    """A person's approvals have different codes, and a decision on one does not affect the others."""
    mine = await runs.ask(ada, *(replace(SEND, call_id=f"call-{number}") for number in range(50)))
    await runs.ask(grace, SEND)
    await runs.approvals.decide(ada, mine[7].code, approved=True)

    found = await runs.approvals.of_message(ada, mine[0].message_id)
    assert len({approval.code for approval in found}) == 50
    assert [approval for approval in found if approval.state is not ApprovalState.PENDING] == [
        replace(mine[7], state=ApprovalState.APPROVED, decided_at=runs.clock.now)
    ]


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("approve 3f2a", Decision("3f2a", approved=True)),
        ("  Approve  3F2A. ", Decision("3f2a", approved=True)),
        ("DENY 3f2a9c01!", Decision("3f2a9c01", approved=False)),
        ("`approve 3f2a`", Decision("3f2a", approved=True)),
        ("*approve 3f2a*", Decision("3f2a", approved=True)),
        ("approve `3f2a`.", Decision("3f2a", approved=True)),
        ("approve: 3f2a", Decision("3f2a", approved=True)),
        ("approve 3f2a\u200b", Decision("3f2a", approved=True)),
        ("\u201cdeny 3f2a\u201d", Decision("3f2a", approved=False)),
        ("approve 3f2a" + " " * 40_000, Decision("3f2a", approved=True)),
        ("approve 3f2a?", None),
        ("3f2a", None),
        ("approve", None),
        ("approve 3f2", None),
        ("approve 3f2a and delete the rest", None),
        ("please approve 3f2a", None),
        ("approve 3f2g", None),
        ("approve 3f2a\ndeny 3f2a", None),
    ],
)
def test_a_decision_is_a_message_of_its_own(text: str, decision: Decision | None) -> None:
    """A decision is a whole message: a word, a code, and nothing that could mean more."""
    assert find_decision(text) == decision
