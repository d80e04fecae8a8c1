"""The sender: every reply is delivered, in order, and duplicates are rare."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from app.database.database import Database
from app.delivery.backoff import Backoff
from app.delivery.replies.sender import Sender
from app.delivery.store.admin import Deliveries
from app.delivery.store.outbox import PlaceInQueue
from app.delivery.store.owing import ReplyState
from app.errors import NotFoundError, UnavailableError, UnclearError, UndeliverableError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, StoredMessage
from app.principal import Principal
from app.reply import ReplyContent
from containers.testing import RecordingChannel
from tests.fakes.core_server import CoreServer, until
from tests.fakes.sandbox import Clock


@pytest.fixture
def servers(database: Database, key_ring: KeyRing) -> tuple[CoreServer, CoreServer]:
    """Return two processes that share a database and a channel."""
    clock = Clock()
    here = CoreServer(database, key_ring, clock=clock)
    return here, CoreServer(database, key_ring, clock=clock, channel=here.channel)


async def _answered(server: CoreServer, person: Principal, conversation: str = "c") -> StoredMessage:
    """Return a message that was answered, and whose reply has not been sent yet."""
    message = await server.say(person, "/letters_clock", conversation)
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    await server.answering.answer(begun)
    return begun


async def test_what_a_dead_process_owed_is_sent_by_another_and_marked(
    servers: tuple[CoreServer, CoreServer], ada: Principal, grace: Principal
) -> None:
    """Another process sends a reply only after the lease of the first, marked as possibly delivered already."""
    here, there = servers
    lost = await _answered(here, ada)
    await _answered(there, grace, "g")
    for conversation in (ConversationKey.of(lost), ConversationKey("http", "demo", "g")):
        await there.sender.send_waiting(conversation)
    before = [(sent.principal, sent.again) for sent in here.channel.sent]
    here.clock.now += 31
    await there.sender.send_waiting(ConversationKey.of(lost))

    assert before == [(grace, False)]
    assert [(sent.principal, sent.again) for sent in here.channel.sent[1:]] == [(ada, True)]
    assert await there.outbox.count() == {ReplyState.SENT: 2}


async def test_replies_go_out_in_order_though_two_processes_owe_them(
    servers: tuple[CoreServer, CoreServer], ada: Principal
) -> None:
    """A later reply waits for an earlier one that another process has to send."""
    here, there = servers
    first, second = await _answered(here, ada), await _answered(there, ada)
    key = ConversationKey.of(first)
    await there.sender.send_waiting(key)
    before = list(here.channel.sent)
    await here.sender.send_waiting(key)
    here.clock.now += 2
    await there.sender.send_waiting(key)

    assert before == []
    assert [sent.message_id for sent in here.channel.sent] == [first.message_id, second.message_id]


async def test_a_reply_that_is_refused_lets_later_ones_pass_and_is_given_up(
    servers: tuple[CoreServer, CoreServer], ada: Principal
) -> None:
    """A reply that the channel refuses does not delay later ones, and is given up after its attempts."""
    server, _ = servers
    server.channel.failures += [UnavailableError("no")]
    first, second = await _answered(server, ada), await _answered(server, ada)
    key = ConversationKey.of(first)
    await server.sender.send_waiting(key)
    told = [sent.message_id for sent in server.channel.sent]
    for _ in range(3):
        server.channel.failures.append(UnavailableError("no"))
        server.clock.now += 100
        await server.sender.send_waiting(key)

    assert told == [second.message_id]
    assert await server.outbox.count() == {ReplyState.SENT: 1, ReplyState.GIVEN_UP: 1}


async def test_a_reply_whose_end_was_not_stored_is_sent_with_the_hint(
    servers: tuple[CoreServer, CoreServer], ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a delivery cannot be stored, the same process sends the reply again, marked as possibly delivered already."""
    server, _ = servers
    messages = [await _answered(server, ada), await _answered(server, grace, "g")]
    with monkeypatch.context() as patch:
        patch.setattr(server.outbox, "sent", AsyncMock(side_effect=OSError("the database is away")))
        for message in messages:
            with pytest.raises(OSError, match="away"):
                await server.sender.send_waiting(ConversationKey.of(message))
    for message in messages:
        await server.sender.send_waiting(ConversationKey.of(message))

    told = [(sent.principal, sent.again) for sent in server.channel.sent]
    assert told == [(ada, False), (grace, False), (ada, True), (grace, True)]
    assert await server.outbox.count() == {ReplyState.SENT: 2}


async def test_what_was_overtaken_by_events_is_not_told(servers: tuple[CoreServer, CoreServer], ada: Principal) -> None:
    """A question for approval is not sent if the person has already decided."""
    server, _ = servers
    message = await server.say(ada, "/letters_shout text=hey")
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    await server.answering.answer(begun)
    (code,) = await server.codes(message)
    await server.approvals.decide(ada, code, approved=True)
    await server.parking.approval_decided(ada, message.message_id)
    await server.sender.send_waiting(ConversationKey.of(message))

    assert server.channel.sent == []
    assert await server.outbox.count() == {ReplyState.OBSOLETE: 1}


async def test_what_may_have_arrived_is_looked_up_after_a_lease(
    servers: tuple[CoreServer, CoreServer], ada: Principal, grace: Principal
) -> None:
    """A refused reply is retried soon; one without a clear answer only after a lease, when it would be visible."""
    server, _ = servers
    refused, unclear = await _answered(server, ada), await _answered(server, grace, "g")
    for message, failure in ((refused, UnavailableError("no")), (unclear, UnclearError("no answer"))):
        server.channel.failures.append(failure)
        await server.sender.send_waiting(ConversationKey.of(message))
    told = []
    for seconds in (10, 25):
        server.clock.now += seconds
        for message in (refused, unclear):
            await server.sender.send_waiting(ConversationKey.of(message))
        told.append([(sent.principal, sent.again) for sent in server.channel.sent])

    assert told == [[(ada, True)], [(ada, True), (grace, True)]]


async def test_a_reply_that_waited_for_its_turn_is_held_on_to(
    servers: tuple[CoreServer, CoreServer], ada: Principal, grace: Principal
) -> None:
    """No other process sends a reply while an attempt is in progress, even if the reply was owed long before."""
    here, there = servers
    messages = [await _answered(here, ada), await _answered(here, grace, "g")]
    here.clock.now += 20
    here.channel.gate.clear()
    sending = [asyncio.create_task(here.sender.send_waiting(ConversationKey.of(each))) for each in messages]
    await until(lambda: len(here.sender._begun) == 2)
    here.clock.now += 20
    for message in messages:
        await there.sender.send_waiting(ConversationKey.of(message))
    here.channel.gate.set()
    await asyncio.gather(*sending)

    assert {(sent.principal, sent.again) for sent in here.channel.sent} == {(ada, False), (grace, False)}
    assert await there.outbox.count() == {ReplyState.SENT: 2}


async def test_a_reply_that_was_overtaken_is_not_sent(
    servers: tuple[CoreServer, CoreServer], ada: Principal, grace: Principal
) -> None:
    """A process that stalls before an attempt does not send a reply that another process has sent meanwhile."""
    here, there = servers
    messages = [await _answered(here, ada), await _answered(here, grace, "g")]
    waiting = here.outbox.waiting

    async def stand_still(conversation: ConversationKey) -> list[PlaceInQueue]:
        places = await waiting(conversation)
        if conversation != ConversationKey.of(messages[0]):
            return places
        here.clock.now += 31
        await there.sender.send_waiting(conversation)
        return [replace(place, seconds_left=place.seconds_left - 31) for place in places]

    here.outbox.waiting = stand_still  # type: ignore[method-assign]
    for message in reversed(messages):
        await here.sender.send_waiting(ConversationKey.of(message))

    assert [(sent.principal, sent.again) for sent in here.channel.sent] == [(grace, False), (ada, True)]
    assert await here.outbox.count() == {ReplyState.SENT: 2}


@dataclass
class _Beside(RecordingChannel):
    """Another process's channel to the same platform, which may leave unclear whether a reply arrived."""

    unclear: bool = False
    taken: list[Principal] = field(default_factory=list)

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        await super().send(message, content, private=private, reply_id=reply_id, again=again)
        self.taken.append(message.principal)
        if self.unclear:
            raise UnclearError("no answer")


@pytest.mark.parametrize("unclear", [False, True])
async def test_who_was_overtaken_as_it_sent_has_one_copy_kept(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal, monkeypatch: Any, unclear: bool
) -> None:
    """If a process stalls while sending and another one sends the same reply, one copy is kept."""
    monkeypatch.setattr("app.delivery.replies.sender._TO_ARRIVE", 0.001)
    there = CoreServer(database, key_ring)
    beside = _Beside(there.channel.sent, unclear=unclear)
    here = CoreServer(database, key_ring, clock=there.clock, channel=beside)
    messages = [await _answered(here, ada), await _answered(here, grace, "g")]
    beside.gate.clear()
    sending = [asyncio.create_task(here.sender.send_waiting(ConversationKey.of(each))) for each in messages]
    await until(lambda: len(here.sender._begun) == 2)
    there.clock.now += 31
    await there.sender.send_waiting(ConversationKey.of(messages[0]))
    beside.gate.set()
    await asyncio.gather(*sending)
    await until(lambda: not here.sender._looking)

    assert sorted(each.user for each in beside.taken) == [ada.user, grace.user]
    assert [(each.principal, each.again) for each in beside.sent] == [(ada, True), (grace, False)]


@dataclass
class _Away(RecordingChannel):
    """A channel on which some people are unavailable for now.

    Attributes:
        away: The people who are unavailable.
    """

    away: set[Principal] = field(default_factory=set)

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        if message.principal in self.away:
            raise UnavailableError("away")
        await super().send(message, content, private=private, reply_id=reply_id, again=again)


@pytest.mark.parametrize(("hours", "told_at_last"), [(6, True), (25, False)])
async def test_an_outage_of_hours_loses_nothing(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal, hours: int, told_at_last: bool
) -> None:
    """A reply to an unavailable person is given up after a day and can be retried; another person's are delivered."""
    channel = _Away(away={ada})
    server = CoreServer(database, key_ring, channel=channel, reply_seconds=86_400)
    message = await _answered(server, ada)
    for hour in range(hours):
        others = await _answered(server, grace, f"g{hour}")
        for each in (message, others, message, message):
            server.clock.now += 900
            await server.sender.send_waiting(ConversationKey.of(each))
    channel.away.clear()
    server.clock.now += 61  # the longest wait is 60
    await server.sender.send_waiting(ConversationKey.of(message))
    told = [sent.principal for sent in channel.sent]
    deliveries = Deliveries(database, server.clock)
    untold = [each.message_id for each in await deliveries.latest([], at_most=9, untold=True)]
    if untold:
        await deliveries.retry(message.message_id)
        await server.sender.send_waiting(ConversationKey.of(message))

    assert told == [grace] * hours + [ada] * told_at_last
    assert untold == [message.message_id] * (not told_at_last)
    assert [sent.principal for sent in channel.sent][-1] == ada
    assert await server.outbox.count() == {ReplyState.SENT: hours + 1}
    with pytest.raises(NotFoundError):
        await deliveries.retry(message.message_id)


async def test_a_channel_that_hangs_holds_up_no_other(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """Replies that hang on one platform do not delay those to another, however many there are."""
    server, slack = CoreServer(database, key_ring), RecordingChannel()
    server.channel.gate.clear()
    channels = {"http": server.channel, "slack": slack}
    sender = Sender(server.outbox, server.statuses, channels, Backoff(4, 2.0, 60.0), lease_seconds=30.0)
    hanging = [await _answered(server, ada, f"c{number}") for number in range(17)]
    other = await _answered(server, Principal("slack", ada.tenant, "U0GRACE"))
    async with sender.running(0.0):
        for message in (*hanging, other):
            sender.look(ConversationKey.of(message))
        await until(lambda: slack.sent)

    assert server.channel.sent == []
    assert [sent.message_id for sent in slack.sent] == [other.message_id]


async def test_a_refusal_for_good_is_not_tried_again(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """A permanent refusal is not retried; its reason is logged and in `deliveries`, and another person is answered."""
    server = CoreServer(database, key_ring, reply_seconds=86_400)
    server.channel.failures.append(UndeliverableError("Slack refused it: is_archived", reason="is_archived"))
    refused = await _answered(server, ada)
    await server.sender.send_waiting(ConversationKey.of(refused))
    told = await _answered(server, grace, "g")
    for message in (refused, told):
        server.clock.now += 3_600
        await server.sender.send_waiting(ConversationKey.of(message))
    _, steps = await Deliveries(database, server.clock).show(refused.message_id)

    assert [sent.principal for sent in server.channel.sent] == [grace]
    assert [(step.state, step.tries, step.last_error) for step in steps] == [("given_up", 1, "is_archived")]
    assert "is_archived" in caplog.text


async def test_a_platform_that_asks_to_wait_is_left_alone_so_long(
    servers: tuple[CoreServer, CoreServer], ada: Principal, grace: Principal
) -> None:
    """`Retry-After` counts if it is longer than the backoff, and only for the person whose reply it was about."""
    server, _ = servers
    server.channel.failures.append(UnavailableError("busy", reason="ratelimited", retry_after=90))
    messages = [await _answered(server, ada), await _answered(server, grace, "g")]
    told = []
    for seconds in (0, 89, 2):
        server.clock.now += seconds
        for message in messages:
            await server.sender.send_waiting(ConversationKey.of(message))
        told.append([sent.principal for sent in server.channel.sent])
    _, steps = await Deliveries(server.database, server.clock).show(messages[0].message_id)

    assert told == [[grace], [grace], [grace, ada]]
    assert [step.tries for step in steps] == [2]


@dataclass
class _Slow(RecordingChannel):
    """A channel on which sending to some people takes until the gate opens.

    Attributes:
        slow: The people for whom sending is slow.
    """

    slow: set[Principal] = field(default_factory=set)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        if message.principal in self.slow:
            await self.opened.wait()
        await super().send(message, content, private=private, reply_id=reply_id, again=again)


async def test_in_a_shared_thread_nobody_waits_for_somebody_elses_reply(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A hanging reply to one person does not delay another's in the same thread; each person's stay in order."""
    channel = _Slow(slow={ada})
    server = CoreServer(database, key_ring, channel=channel)
    first, second, hers = [await _answered(server, person) for person in (ada, ada, grace)]
    async with server.sender.running(0.0):
        server.sender.look(ConversationKey.of(first))
        await until(lambda: channel.sent)
        before = [sent.message_id for sent in channel.sent]
        later = await _answered(server, grace)
        server.sender.look(ConversationKey.of(later))
        await until(lambda: len(channel.sent) == 2)
        channel.opened.set()
        await until(lambda: len(channel.sent) == 4)

    assert before == [hers.message_id]
    told = [sent.message_id for sent in channel.sent]
    assert told == [hers.message_id, later.message_id, first.message_id, second.message_id]
