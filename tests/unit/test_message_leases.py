"""Message leases: a message belongs to one process while that process lives, by the database's clock."""

from __future__ import annotations

import time

import pytest

from app.database.database import Database
from app.delivery.store.inbox import Inbox
from app.delivery.store.lease import MessageLease, process_is_gone, this_machine
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState
from app.principal import Principal
from tests.fakes.core_server import CoreServer, inbound
from tests.fakes.sandbox import Clock


@pytest.fixture
def servers(database: Database, key_ring: KeyRing) -> tuple[CoreServer, CoreServer]:
    """Return two processes on one database."""
    clock = Clock()
    return CoreServer(database, key_ring, clock=clock), CoreServer(database, key_ring, clock=clock)


async def test_a_lease_that_is_renewed_is_nobody_elses(servers: tuple[CoreServer, CoreServer], ada: Principal) -> None:
    """A message with a renewed lease stays with its process; after the lease expires, another one answers it."""
    here, there = servers
    message = await here.say(ada, "/letters_clock")
    begun = await here.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    for _ in range(3):
        here.clock.now += 20
        assert await here.inbox.renew([begun]) == []
        await there.inbox.put_back_lost(())
    assert await here.is_in(message, MessageState.RUNNING)
    here.clock.now += 31
    await there.inbox.put_back_lost(())
    answered = await there.answer_next(message)

    assert (answered.state, answered.attempt, answered.interruptions) == (MessageState.DONE, 2, 1)


async def test_who_stood_still_finishes_nothing(servers: tuple[CoreServer, CoreServer], ada: Principal) -> None:
    """A process that stalled beyond its lease can neither renew nor answer a message that another one took over."""
    here, there = servers
    message = await here.say(ada, "/letters_clock")
    begun = await here.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    here.clock.now += 31
    await there.inbox.put_back_lost(())
    taken = await there.inbox.begin_next(ConversationKey.of(message))

    assert await here.inbox.renew([begun]) == [begun]
    await here.answering.answer(begun)
    assert await there.inbox.get(ada, message.message_id) == taken
    assert await there.outbox.waiting(ConversationKey.of(message)) == []


async def test_clocks_that_differ_by_a_minute_take_nothing_away(
    database: Database, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Message leases use the database's clock, so a process with a wrong clock neither loses nor takes a message."""
    if "postgresql" not in repr(database):
        pytest.skip("SQLite is one machine with one clock")
    here, there = (Inbox(database, lease=MessageLease(name, 30.0)) for name in ("here:1:a", "there:2:b"))
    stored, _ = await here.accept(inbound(ada))
    begun = await here.begin_next(ConversationKey.of(stored))
    now = time.time
    for seconds in (-60, 60):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: now() + seconds)
        await there.put_back_lost(())

    assert begun is not None
    assert await here.renew([begun]) == []


async def test_later_messages_wait_for_one_that_is_tried_again(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """While a message waits for another try, later ones of its person in that chat wait too; other chats go on."""
    first, second = [await server.say(ada, "/letters_clock") for _ in range(2)]
    other = await server.say(grace, "/letters_clock", "g")
    begun = await server.inbox.begin_next(ConversationKey.of(first))
    assert begun is not None
    await server.inbox.try_later(begun, 30, "model_busy")

    assert await server.inbox.begin_next(ConversationKey.of(first)) is None
    assert await server.inbox.begin_next(ConversationKey.of(other)) is not None
    server.clock.now += 30
    answered = await server.answer_next(second)
    assert answered.state is MessageState.NEW
    assert (await server.inbox.get(ada, first.message_id)).state is MessageState.DONE


@pytest.fixture
def server(servers: tuple[CoreServer, CoreServer]) -> CoreServer:
    """Return one process."""
    return servers[0]


def test_a_process_is_known_to_be_gone_only_where_that_can_be_seen() -> None:
    """A process on another machine, and one that may be alive, is never taken for dead."""
    machine = this_machine()

    assert not process_is_gone("host:1:aa", machine)
    assert not process_is_gone("host:999999999:aa", "another machine")
    assert process_is_gone("host:999999999:aa", machine) is bool(machine)
