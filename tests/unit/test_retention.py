"""Back-pressure, retention and what an administrator sees: no message is dropped, and no text is kept or shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import approvals, messages, outbox, turns
from app.delivery.store.admin import Deliveries
from app.errors import NotFoundError, OverLimitError, UnavailableError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState
from app.principal import Principal
from tests.fakes.core_server import CoreServer, inbound, until

DAY = 86_400


async def test_past_the_backlog_new_messages_are_refused_and_known_ones_acknowledged(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A message past the backlog is refused and not stored, but a duplicate of a stored one is acknowledged."""
    server = CoreServer(database, key_ring, backlog=2)
    await server.intake.accept(inbound(ada, event_id="e1"))
    await server.intake.accept(inbound(grace, event_id="e2"))
    with pytest.raises(UnavailableError):
        await server.intake.accept(inbound(grace, event_id="e3"))
    again = await server.intake.accept(inbound(ada, event_id="e1"))

    assert again.sequence == 1
    assert await server.inbox.count_undone() == {ada: 1, grace: 1}


async def test_who_fills_their_own_share_shuts_nobody_else_out(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A person who reaches their own limit does not affect others, and can write again once a message is answered."""
    server = CoreServer(database, key_ring, backlog=100, person_backlog=2)
    first = [await server.say(ada, f"hello {number}", f"a{number}") for number in range(2)]
    with pytest.raises(OverLimitError, match="2 of your messages wait"):
        await server.say(ada, "hello 2", "a2")
    assert (await server.say(grace, "hello", "g")).state is MessageState.NEW
    await server.answer_next(first[0])

    async def is_taken() -> bool:
        with suppress(OverLimitError):
            await server.say(ada, "hello 3", "a3")
            return True
        return False

    await until(is_taken)  # it counts at most twice a second


async def test_what_is_old_is_erased_and_what_is_not_stays(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Texts, answers, addresses and arguments of old messages are erased; their rows stay to recognise duplicates."""
    server = CoreServer(database, key_ring)
    await server.intake.accept(inbound(ada, "/letters_clock", event_id="e1"))
    old = await server.answer_next(await server.intake.accept(inbound(ada, "/letters_clock", event_id="e1")))
    server.clock.now += 31 * DAY
    fresh = await server.ask(grace, "/letters_clock", "g")
    assert await server.retention.erase() == 1
    assert await server.retention.erase() == 0
    again = await server.intake.accept(inbound(ada, "hello", event_id="e1"))

    assert (again.message_id, again.text, again.answer, again.address) == (old.message_id, "", None, {})
    assert (await server.inbox.get(grace, fresh.message_id)).answer == "noon"
    async with database.reading() as connection:
        left = [
            (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar()
            for table in (messages, outbox, turns, approvals)
        ]
    assert left == [2, 1, 2, 0]
    server.clock.now += 61 * DAY
    await server.retention.erase()
    assert (await server.conversations.load(ada, "c", turns_at_most=9)).messages == []


async def test_an_administrator_sees_no_text_and_can_have_it_tried_again(
    database: Database, key_ring: KeyRing, ada: Principal
) -> None:
    """A failed message is shown with its class of error and without text, and can be retried in its place."""
    server = CoreServer(database, key_ring)
    message = await server.say(ada, "/letters_clock SECRET")
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    await server.inbox.fail(begun, "an apology with SECRET", "model_busy")
    deliveries = Deliveries(database, server.clock)
    (failed,) = await deliveries.latest([MessageState.FAILED], at_most=9)
    shown, steps = await deliveries.show(message.message_id)
    await deliveries.retry(message.message_id)
    answered = await server.answer_next(message)

    assert (failed.last_error, shown, [step.kind for step in steps]) == ("model_busy", failed, ["reply"])
    assert "SECRET" not in str(asdict(failed)) + repr(steps)
    assert answered.state is not MessageState.FAILED
    with pytest.raises(NotFoundError):
        await deliveries.retry(message.message_id)


async def test_a_reference_names_one_message_and_what_is_owed_is_listed(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """The beginning of an id finds its message, and anything else is refused."""
    server, deliveries = CoreServer(database, key_ring), Deliveries(database)
    told = await server.ask(grace, "hello", "g")
    message = await server.say(ada, "hello", "a")
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    await server.answering.answer(begun)
    delivery, _ = await deliveries.show(message.message_id[:8])

    assert (delivery.message_id, delivery.owed) == (message.message_id, True)
    listed = [each.message_id for each in await deliveries.latest([MessageState.NEW], at_most=9, untold=True)]
    assert listed == [message.message_id]
    assert not (await deliveries.show(told.message_id))[0].owed
    for nothing in ("f" * 32, "%" * 8, "abc"):
        with pytest.raises(NotFoundError):
            await deliveries.show(nothing)
