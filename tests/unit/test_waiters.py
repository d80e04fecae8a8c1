"""Waiting for a message: changes in any process end the wait, and nothing is asked while nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from app.database.database import Database
from app.delivery.replies.waiters import Waiters
from app.delivery.store.inbox import Inbox
from app.messages import ConversationKey, Version
from app.principal import Principal
from app.supervisor import Supervisor
from tests.fakes.core_server import inbound

LONG = 30.0  # seconds; a test waits this long only if it fails


class CountingInbox(Inbox):
    """An inbox that counts the queries about messages that somebody waits for."""

    looks = 0

    async def versions(self, message_ids: Iterable[str]) -> dict[str, Version]:
        """Count the call and return the versions."""
        self.looks += 1
        return await super().versions(message_ids)


@pytest.fixture
def inbox(database: Database) -> CountingInbox:
    """Return an empty inbox."""
    return CountingInbox(database)


async def test_a_wait_ends_when_its_message_is_woken_and_no_other(
    inbox: CountingInbox, ada: Principal, grace: Principal
) -> None:
    """Waking one person's message ends the waits for it, and another person's wait goes on."""
    waiters = Waiters(inbox)
    (mine, _), (theirs, _) = [await inbox.accept(inbound(person)) for person in (ada, grace)]
    with waiters.waiting(mine.message_id) as waiter, waiters.waiting(theirs.message_id) as other:
        both = [asyncio.create_task(each.changed(mine, LONG)) for each in (waiter, other)]
        waiters.wake(mine.message_id)
        ended, going_on = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in going_on:
            task.cancel()

    assert (ended, await both[0], waiters.count) == ({both[0]}, True, 0)


async def test_a_change_between_the_read_and_the_wait_is_not_missed(inbox: CountingInbox, ada: Principal) -> None:
    """A wait that begins after its message changed ends at once, and the next wait is a new one."""
    waiters = Waiters(inbox)
    message, _ = await inbox.accept(inbound(ada))
    with waiters.waiting(message.message_id) as waiter:
        waiters.wake(message.message_id)

        assert await waiter.changed(message, LONG)
        assert not await waiter.changed(message, 0.001)


async def test_what_another_process_changes_is_noticed_by_one_look_for_all(
    inbox: CountingInbox, database: Database, ada: Principal, grace: Principal
) -> None:
    """One query serves all waits; it wakes those whose message another process began, and no others."""
    waiters, elsewhere = Waiters(inbox), Inbox(database)
    (mine, _), (theirs, _) = [await inbox.accept(inbound(person, conversation=person.user)) for person in (ada, grace)]
    with waiters.waiting(mine.message_id) as waiter, waiters.waiting(theirs.message_id) as other:
        waits = [asyncio.create_task(waiter.changed(mine, LONG)), asyncio.create_task(other.changed(theirs, LONG))]
        await asyncio.sleep(0)
        await waiters.look()
        assert not any(wait.done() for wait in waits)
        await elsewhere.begin_next(ConversationKey.of(mine))
        await waiters.look()

        assert await waits[0]
        assert not waits[1].done()
        assert inbox.looks == 2
        waits[1].cancel()


async def test_a_running_look_wakes_and_is_silent_while_nobody_waits(
    inbox: CountingInbox, database: Database, ada: Principal
) -> None:
    """The background look notices another process's change, and asks the database nothing when nobody waits."""
    waiters, elsewhere = Waiters(inbox, look_seconds=0.001), Inbox(database)
    message, _ = await inbox.accept(inbound(ada))
    async with waiters.running(Supervisor()):
        with waiters.waiting(message.message_id) as waiter:
            wait = asyncio.create_task(waiter.changed(message, LONG))
            await elsewhere.begin_next(ConversationKey.of(message))
            assert await wait
        looks = inbox.looks
        await asyncio.sleep(0.05)

    assert inbox.looks == looks


async def test_nobody_waits_while_the_process_stops(inbox: CountingInbox, ada: Principal) -> None:
    """Stopping wakes every wait, and a wait that begins later ends at once."""
    waiters = Waiters(inbox)
    message, _ = await inbox.accept(inbound(ada))
    with waiters.waiting(message.message_id) as waiter:
        waiters.end()
        assert await waiter.changed(message, LONG)
    with waiters.waiting(message.message_id) as waiter:
        assert await waiter.changed(message, LONG)
