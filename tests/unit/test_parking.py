"""Parked runs, which wait for their person."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.agents.run import StoppedCall, StoppedRun
from app.approvals.approvals import ApprovalState, PendingCall
from app.approvals.question import Question
from app.consent.link import LinkState
from app.consent.lock import take_consent_turn
from app.database.database import Database
from app.database.tables import approvals, consent_links, parked_runs
from app.delivery.store.parked_run import ParkedRun, WaitsFor
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal
from tests.fakes.core_server import CoreServer, inbound
from tests.fakes.credentials import google_tokens
from tests.fakes.sandbox import READ

SEND = PendingCall("call-1", "letters_send", {"to": "bob"})
SHOUT = PendingCall("call-2", "letters_shout", {"text": "hey"})

_QUESTION = Question("Send this mail?", about=("subject",))
_CALL = StoppedCall("call-1", "letters_send", "approval", arguments={"subject": "Hi"}, question=_QUESTION)
RUN = StoppedRun([], (_CALL,)).dump()


class Lot(CoreServer):
    """A server on which tests park runs by hand."""

    async def begun(self, person: Principal, conversation: str = "c") -> StoredMessage:
        """Return a message in progress."""
        stored, _ = await self.inbox.accept(inbound(person, conversation=conversation))
        begun = await self.inbox.begin_next(ConversationKey.of(stored))
        assert begun is not None
        return begun

    async def for_consent(self, person: Principal) -> StoredMessage:
        """Return a message that waits for consent."""
        message = await self.begun(person, person.user)
        link_id = await self.consent.ask(person, frozenset({READ}))
        assert await self.parking.park_for_consent(message, "run", link_id)
        return message

    async def for_approval(self, person: Principal, calls: Sequence[PendingCall] = (SEND,)) -> StoredMessage:
        """Return a message that waits for approvals."""
        message = await self.begun(person, person.user)
        assert await self.parking.park_for_approval(message, RUN, calls)
        return message

    async def states(self, *messages: StoredMessage) -> list[MessageState]:
        """Return the states of messages."""
        return [(await self.inbox.get(each.principal, each.message_id)).state for each in messages]

    async def woken(self) -> list[str]:
        """Return the conversations that were woken since the last call."""
        await self.wakeups.wake(ConversationKey("", "", "end"))
        names = []
        while (name := (await self.wakeups.next()).conversation) != "end":
            names.append(name)
        return names

    async def decide(self, person: Principal, call: PendingCall, message: StoredMessage, *, approved: bool) -> None:
        """Decide on one call without waking its run."""
        asked = await self.approvals.of_message(person, message.message_id)
        (code,) = (approval.code for approval in asked if approval.call == call)
        assert await self.approvals.decide(person, code, approved=approved)

    async def set_link(self, message: StoredMessage, state: LinkState) -> None:
        """Set the state of the link that a message waits for."""
        parked = await self.parking.find(message)
        assert parked is not None
        async with self.database.writing() as connection:
            await connection.execute(
                consent_links.update().where(consent_links.c.id == parked.link_id).values(state=state)
            )


@pytest.fixture
def lot(database: Database, key_ring: KeyRing) -> Lot:
    """Return a server without parked runs."""
    return Lot(database, key_ring)


@pytest.mark.parametrize("granted", [True, False])
async def test_a_consent_that_ends_wakes_its_person_alone(
    lot: Lot, ada: Principal, grace: Principal, granted: bool
) -> None:
    """Every message that waits for a person's consent continues and knows the outcome; another person's still waits."""
    first, hers, second = await lot.for_consent(ada), await lot.for_consent(grace), await lot.for_consent(ada)

    await lot.parking.consent_ended(ada, granted=granted)

    assert await lot.states(first, hers, second) == [MessageState.NEW, MessageState.PARKED, MessageState.NEW]
    assert await lot.woken() == ["ada"]
    found = [await lot.parking.find(message) for message in (first, hers, second)]
    assert [parked.granted if parked else "gone" for parked in found] == [granted, None, granted]


async def test_a_consent_does_not_wake_what_waits_for_approval(lot: Lot, ada: Principal) -> None:
    """A consent does not resume the same person's run that waits for an approval."""
    message = await lot.for_approval(ada)

    await lot.parking.consent_ended(ada, granted=True)

    assert await lot.states(message) == [MessageState.PARKED]
    assert await lot.woken() == []


async def test_a_run_goes_on_once_all_of_its_calls_are_decided(lot: Lot, ada: Principal, grace: Principal) -> None:
    """A run with two calls needs two decisions of its own person; another person's do not count."""
    mine, hers = await lot.for_approval(ada, (SEND, SHOUT)), await lot.for_approval(grace)

    await lot.decide(ada, SEND, mine, approved=True)
    await lot.parking.approval_decided(ada, mine.message_id)
    await lot.decide(grace, SEND, hers, approved=True)
    await lot.parking.approval_decided(grace, mine.message_id)
    assert await lot.states(mine, hers) == [MessageState.PARKED, MessageState.PARKED]
    await lot.decide(ada, SHOUT, mine, approved=False)
    await lot.parking.approval_decided(ada, mine.message_id)

    assert await lot.states(mine, hers) == [MessageState.NEW, MessageState.PARKED]
    assert await lot.woken() == ["ada"]


@pytest.mark.parametrize(("link", "granted"), [(LinkState.ACTIVE, True), (LinkState.REFUSED, False)])
async def test_a_consent_whose_wake_up_was_lost_is_found(
    lot: Lot, ada: Principal, grace: Principal, link: LinkState, granted: bool
) -> None:
    """If the process ended after the consent and before the wake-up, the scan resumes the run."""
    mine, hers = await lot.for_consent(ada), await lot.for_consent(grace)
    await lot.set_link(mine, link)

    await lot.parking.wake_answered()

    parked = await lot.parking.find(mine)
    assert await lot.states(mine, hers) == [MessageState.NEW, MessageState.PARKED]
    assert parked is not None
    assert parked.granted is granted
    assert await lot.woken() == ["ada"]


async def test_decisions_whose_wake_up_was_lost_are_found(lot: Lot, ada: Principal, grace: Principal) -> None:
    """If the process ended after the last decision and before the wake-up, the scan resumes the run."""
    mine, hers = await lot.for_approval(ada), await lot.for_approval(grace, (SEND, SHOUT))
    await lot.decide(ada, SEND, mine, approved=True)
    await lot.decide(grace, SEND, hers, approved=True)

    await lot.parking.wake_answered()

    assert await lot.states(mine, hers) == [MessageState.NEW, MessageState.PARKED]
    assert await lot.woken() == ["ada"]
    await lot.parking.wake_answered()
    assert await lot.woken() == []


async def test_what_nobody_answered_in_time_is_given_up(lot: Lot, ada: Principal, grace: Principal) -> None:
    """A parked message fails when its time has passed, its approvals expire, and a late answer changes nothing."""
    asked, consent = await lot.for_approval(ada), await lot.for_consent(grace)
    lot.clock.now += 3601
    fresh = await lot.for_approval(grace)

    await lot.parking.give_up_expired()
    await lot.parking.consent_ended(grace, granted=True)
    await lot.parking.approval_decided(ada, asked.message_id)

    assert await lot.states(asked, consent, fresh) == [MessageState.FAILED, MessageState.FAILED, MessageState.PARKED]
    apologies = [
        str((await lot.inbox.get(*each)).answer) for each in ((ada, asked.message_id), (grace, consent.message_id))
    ]
    assert apologies == [
        'I waited an hour for your answer to "Send this mail?" (Subject: Hi), and dropped your message "hello". '
        "It was not done. Ask again if you still want it.",
        'I waited an hour for you to connect your account, and dropped your message "hello". '
        "It was not done. Ask again if you still want it.",
    ]
    assert await lot.parking.find(asked) is None
    (approval,) = await lot.approvals.of_message(ada, asked.message_id)
    assert approval.state is ApprovalState.EXPIRED


async def test_an_overtaken_attempt_parks_and_asks_for_nothing(lot: Lot, ada: Principal) -> None:
    """A superseded attempt leaves neither a parked run nor an approval."""
    message = await lot.begun(ada)
    await lot.inbox.put_back(message)

    assert not await lot.parking.park_for_approval(message, "run", [SEND])
    assert not await lot.parking.park_for_consent(message, "run", "link")
    async with lot.database.reading() as connection:
        for table in (parked_runs, approvals):
            assert (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar() == 0


async def test_a_second_wait_takes_the_place_of_the_first(lot: Lot, ada: Principal) -> None:
    """A message that waits again has only its new parked run, without the earlier answer."""
    message = await lot.for_consent(ada)
    await lot.parking.consent_ended(ada, granted=True)
    again = await lot.inbox.begin_next(ConversationKey.of(message))
    assert again is not None
    await lot.parking.park_for_approval(again, "second run", [SEND])

    assert await lot.parking.find(again) == ParkedRun(WaitsFor.APPROVAL, None, "second run", None)


async def test_a_parked_run_is_gone_with_its_answer(lot: Lot, ada: Principal, grace: Principal) -> None:
    """Once a message is done, nothing of its run remains; no other person finds a run for it before."""
    message, hers = await lot.for_consent(ada), await lot.for_consent(grace)
    kept = await lot.parking.find(hers)
    assert await lot.parking.find(message) is not None
    assert await lot.parking.find(replace(message, principal=grace)) is None
    await lot.parking.consent_ended(ada, granted=True)
    again = await lot.inbox.begin_next(ConversationKey.of(message))
    assert again is not None
    assert "run" not in repr(await lot.parking.find(again)).replace("ParkedRun", "")
    await lot.inbox.finish(again, "answer", private=True)

    assert await lot.parking.find(again) is None
    assert await lot.parking.find(hers) == kept
    async with lot.database.reading() as connection:
        left = (await connection.execute(sa.select(parked_runs.c.message_id))).scalars().all()
    assert left == [hers.message_id]


@pytest.mark.parametrize("covered", [True, False])
async def test_a_run_whose_consent_was_given_meanwhile_is_not_left_to_wait(
    lot: Lot, ada: Principal, grace: Principal, covered: bool
) -> None:
    """A run whose consent was given meanwhile is new again instead of parked, and its person is not asked."""
    hers, mine = await lot.for_consent(grace), await lot.begun(ada)
    link_id = await lot.consent.ask(ada, frozenset({READ}))

    async def is_covered(connection: AsyncConnection) -> bool:
        return covered

    assert await lot.parking.park_for_consent(mine, StoppedRun([], ()).dump(), link_id, is_covered)
    state = MessageState.NEW if covered else MessageState.PARKED
    assert await lot.states(mine, hers) == [state, MessageState.PARKED]
    parked = await lot.parking.find(mine)
    assert parked is not None
    assert parked.granted is (True if covered else None)
    await lot.sender.send_waiting(ConversationKey.of(mine))
    assert len(lot.channel.texts(ada)) == (0 if covered else 1)


async def test_parking_waits_for_a_consent_that_is_being_given(lot: Lot, ada: Principal) -> None:
    """A run that parks while its consent is being committed does not stay parked."""
    message = await lot.begun(ada)
    link_id = await lot.consent.ask(ada, frozenset({READ}))
    covered = partial(lot.consent.covers, principal=ada, oauth_scopes=frozenset({READ}))
    async with lot.database.writing() as connection:
        await take_consent_turn(connection, ada)
        await lot.grants.activate(connection, ada, google_tokens("ada-1"))
        wake = await lot.parking.consent_ends(connection, ada, granted=True)
        parking = asyncio.create_task(lot.parking.park_for_consent(message, "run", link_id, covered))
        await asyncio.sleep(0.1)
    await wake()

    assert await parking
    assert await lot.states(message) == [MessageState.NEW]
