"""Wake-ups between those who make work and the worker."""

from __future__ import annotations

import asyncio

import pytest

from app.database.database import Database
from app.delivery.engines.embedded import EmbeddedEngine
from app.delivery.store.inbox import Inbox
from app.delivery.work.backlog import Backlog
from app.delivery.work.intake import Intake
from app.errors import InvalidMessageError
from app.messages import ConversationKey
from app.principal import Principal
from app.supervisor import Supervisor
from app.users import Users
from tests.fakes.core_server import inbound

ONE, OTHER = (ConversationKey("http", "demo", name) for name in ("one", "other"))


async def test_a_conversation_waits_once_however_often_it_is_woken() -> None:
    """Wake-ups of a conversation that already waits are merged, and it keeps its place."""
    wakeups = EmbeddedEngine(Supervisor())
    for conversation in (ONE, OTHER, ONE, ONE):
        await wakeups.wake(conversation)

    assert [await wakeups.next(), await wakeups.next()] == [ONE, OTHER]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wakeups.next(), 0.01)


async def test_a_wake_up_after_the_taking_counts_again() -> None:
    """A conversation that is woken again after it was taken is given out again."""
    wakeups = EmbeddedEngine(Supervisor())
    await wakeups.wake(ONE)
    await wakeups.next()
    await wakeups.wake(ONE)

    assert await wakeups.next() == ONE


async def test_who_waits_is_woken() -> None:
    """A waiting worker gets a conversation as soon as it is woken, even after an earlier wait timed out."""
    wakeups = EmbeddedEngine(Supervisor())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wakeups.next(), 0.01)
    waiting = asyncio.create_task(wakeups.next())
    await asyncio.sleep(0)
    await wakeups.wake(OTHER)

    assert await asyncio.wait_for(waiting, 30) == OTHER


async def test_the_door_stores_and_then_wakes_a_duplicate_too(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """A duplicate wakes its conversation too, because the process that stored the first may have ended before."""
    wakeups = EmbeddedEngine(Supervisor())
    inbox = Inbox(database)
    intake = Intake(inbox, wakeups, Backlog(inbox, 10, 10), Users(database))
    first = await intake.accept(inbound(ada, event_id="e1"))
    taken = await wakeups.next()
    again = await intake.accept(inbound(ada, event_id="e1"))
    await intake.accept(inbound(grace, conversation="g"))

    assert again == first
    assert [taken, await wakeups.next()] == [ConversationKey.of(first)] * 2
    assert (await wakeups.next()).conversation == "g"


async def test_what_is_refused_wakes_nobody(database: Database, ada: Principal) -> None:
    """A message without text is refused at the intake, and no conversation is woken."""
    wakeups, inbox = EmbeddedEngine(Supervisor()), Inbox(database)
    with pytest.raises(InvalidMessageError):
        await Intake(inbox, wakeups, Backlog(inbox, 10, 10), Users(database)).accept(inbound(ada, "  "))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wakeups.next(), 0.01)
