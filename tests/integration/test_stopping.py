"""Stopping: the owner of a run ends it in any state, and nobody else can."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from pydantic_ai.messages import ModelMessage

from app.approvals.approvals import ApprovalState
from app.database.database import Database
from app.delivery.store.stops import MAY_BE_DONE, NOTHING_TO_STOP, STOPPED, WITHDRAWN
from app.errors import AgentError, NotFoundError, OverLimitError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal
from containers.testing import answering, prompts
from tests.fakes.core_server import CoreServer, inbound, until
from tests.fakes.sandbox import SEND


class Waits:
    """A model that repeats prompts, those that begin with "wait" only once the gate is open.

    Attributes:
        begun: The prompts, in the order in which they were begun.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, messages: list[ModelMessage]) -> str:
        """Answer the last prompt."""
        prompt = prompts(messages)[-1]
        self.begun.append(prompt)
        if prompt.startswith("wait"):
            await self.gate.wait()
        return f"answer to {prompt}"


@pytest.fixture
def waits() -> Waits:
    """Return the model, with its gate closed."""
    return Waits()


@pytest.fixture
def server(database: Database, key_ring: KeyRing, waits: Waits) -> CoreServer:
    """Return a process with that model."""
    return CoreServer(database, key_ring, model=answering(waits))


async def _of(server: CoreServer, message: StoredMessage) -> StoredMessage:
    return await server.inbox.get(message.principal, message.message_id)


async def test_stop_overtakes_the_run_that_it_stops(
    server: CoreServer, waits: Waits, ada: Principal, grace: Principal
) -> None:
    """`stop` ends the sender's own run in the conversation at once; other people's runs and later messages go on."""
    async with server.working() as worker:
        hers = await server.say(grace, "wait grace", "elsewhere")
        mine = await server.say(ada, "wait ada")
        await until(lambda: len(waits.begun) == 2)
        said = await server.say(ada, "stop")
        await until(lambda: server.channel.texts(ada))
        after = await server.say(ada, "and now")
        await until(lambda: server.ended(after))
        await until(lambda: worker.in_work == {hers.message_id})
        waits.gate.set()
        await until(lambda: server.ended(hers))
        await until(lambda: len(server.channel.sent) == 3)

    assert server.channel.texts(ada) == [STOPPED, "answer to and now"]
    assert server.channel.texts(grace) == ["answer to wait grace"]
    assert (await _of(server, mine)).state is MessageState.FAILED
    assert (await _of(server, said)).state is MessageState.DONE


async def test_in_a_shared_thread_stop_is_the_senders_alone(
    server: CoreServer, waits: Waits, ada: Principal, grace: Principal
) -> None:
    """`stop` in a shared conversation drops only the sender's messages, without waiting for another person's run."""
    async with server.working():
        hers = await server.say(grace, "wait grace")
        await until(lambda: waits.begun)
        mine = [await server.say(ada, text) for text in ("one", "two")]
        await server.say(ada, "Stop!")
        await until(lambda: server.channel.texts(ada))
        undisturbed = await _of(server, hers)
        waits.gate.set()
        await until(lambda: server.ended(hers))
        await until(lambda: server.channel.texts(grace))

    assert undisturbed.state is MessageState.RUNNING
    assert server.channel.texts(ada) == [f"{STOPPED} I dropped 2 messages that I had not begun."]
    assert server.channel.texts(grace) == ["answer to wait grace"]
    assert [(await _of(server, each)).state for each in mine] == [MessageState.FAILED] * 2
    assert waits.begun == ["wait grace"]


async def test_only_the_owner_stops_a_message(
    server: CoreServer, waits: Waits, ada: Principal, grace: Principal
) -> None:
    """Only its owner can stop a message by its id, and a message that has ended stays as it was."""
    async with server.working():
        mine, hers = await server.say(ada, "wait ada", "a"), await server.say(grace, "wait grace", "g")
        await until(lambda: len(waits.begun) == 2)
        with pytest.raises(NotFoundError):
            await server.stopping.stop(grace, mine.message_id)
        foreign = await server.stopping.stop_all(grace, ConversationKey.of(mine))
        before = await _of(server, mine)
        first, again = [await server.stopping.stop(ada, mine.message_id) for _ in range(2)]
        await until(lambda: server.channel.texts(ada))  # replies in two conversations have no order
        waits.gate.set()
        await until(lambda: server.ended(hers))
        await until(lambda: len(server.channel.sent) == 2)
        late = await server.stopping.stop(grace, hers.message_id)

    assert foreign == 0
    assert before.state is MessageState.RUNNING
    assert (first.state, first.answer) == (again.state, again.answer) == (MessageState.FAILED, STOPPED)
    assert (late.state, late.answer) == (MessageState.DONE, "answer to wait grace")
    assert [(sent.principal, sent.text) for sent in server.channel.sent] == [
        (ada, STOPPED), (grace, "answer to wait grace")
    ]  # fmt: skip


async def test_what_waits_for_approval_is_withdrawn(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A stopped call can no longer be approved; another person's still can."""
    server = CoreServer(database, key_ring)
    codes, asked = {}, {}
    for person in (ada, grace):
        await server.grant(person, SEND)
        asked[person] = await server.ask(person, "/letters_send to=bob@example.com", person.user)
        (codes[person],) = await server.codes(asked[person])
    stop = await server.say(ada, "stop", ada.user)
    await server.sender.send_waiting(ConversationKey.of(stop))
    refused = await server.approvals.decide(ada, codes[ada], approved=True)
    await server.approvals.decide(grace, codes[grace], approved=True)
    await server.parking.approval_decided(grace, asked[grace].message_id)
    await server.answer_next(asked[grace])

    assert server.channel.texts(ada)[-1] == f"{STOPPED} {WITHDRAWN.format('letters_send')}"
    assert refused is None
    assert [who for who, *_ in server.post.done] == [grace.user]
    assert not await server.parking.count(ada, besides="")


async def test_an_approved_call_that_has_not_begun_is_not_made(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """`stop` between an approval and its run prevents the call."""
    server = CoreServer(database, key_ring)
    for person in (ada, grace):
        await server.grant(person, SEND)
    mine, hers = [await server.ask(each, "/letters_send to=bob@example.com", each.user) for each in (ada, grace)]
    for message in (mine, hers):
        (code,) = await server.codes(message)
        await server.approvals.decide(message.principal, code, approved=True)
        await server.parking.approval_decided(message.principal, message.message_id)
    await server.stopping.stop(ada, mine.message_id)
    await server.answer_next(hers)
    (approval,) = await server.approvals.of_message(ada, mine.message_id)

    assert approval.state is ApprovalState.EXPIRED
    assert not await server.approvals.claim(ada, approval.approval_id, approval.call)
    assert [who for who, *_ in server.post.done] == [grace.user]


async def test_what_had_begun_to_write_is_told(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """`stop` names a write that has begun and may be done, and the run can begin no other write."""
    messages = {person: await server.say(person, "hello", person.user) for person in (ada, grace)}
    begun = {person: await _begin(server, message) for person, message in messages.items()}
    for person, message in begun.items():
        await server.writes.begin(person, message.message_id, message.attempt, f"{person.user}_label")
    await server.stopping.stop(ada, messages[ada].message_id)
    with pytest.raises(AgentError):
        await server.writes.begin(ada, messages[ada].message_id, begun[ada].attempt, "second")
    await server.writes.begin(grace, messages[grace].message_id, begun[grace].attempt, "second")

    assert (await _of(server, messages[ada])).answer == f"{STOPPED} {MAY_BE_DONE.format(f'{ada.user}_label')}"
    assert not await server.inbox.finish(begun[ada], "too late", private=False)
    assert await server.inbox.finish(begun[grace], "in time", private=False)


async def test_another_process_ends_its_run_when_it_renews_the_lease(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A `stop` at one process ends the run in another when it renews its lease; other runs there go on."""
    model, here = Waits(), CoreServer(database, key_ring)
    there = CoreServer(database, key_ring, model=answering(model), clock=here.clock, channel=here.channel)
    async with there.working(lease_seconds=0.6, scan_seconds=60.0) as worker:
        mine, hers = [await there.say(person, f"wait {person.user}", person.user) for person in (ada, grace)]
        await until(lambda: len(model.begun) == 2)
        stop = await here.say(ada, "stop", ada.user)
        await here.sender.send_waiting(ConversationKey.of(stop))
        await until(lambda: worker.in_work == {hers.message_id})
        model.gate.set()
        await until(lambda: there.ended(hers))
        await until(lambda: len(here.channel.sent) == 2)

    assert here.channel.texts(ada) == [STOPPED]
    assert here.channel.texts(grace) == [f"answer to wait {grace.user}"]
    assert (await _of(here, mine)).state is MessageState.FAILED


async def test_a_stop_that_was_not_carried_out_is_in_its_turn(
    server: CoreServer, waits: Waits, ada: Principal, grace: Principal
) -> None:
    """A `stop` that was only stored is answered in its turn, and ends what waits by then."""
    waits.gate.set()
    await server.grant(ada, SEND)
    parked = await server.say(ada, "wait ada")
    begun = await _begin(server, parked)
    await server.parking.park_for_approval(begun, "{}", [])
    stored, _ = await server.inbox.accept(inbound(ada, "stop"))
    hers = await server.say(grace, "one")
    stopped = await server.answer_next(stored)
    await server.answer_next(hers)

    assert stopped.state is MessageState.DONE
    assert (await _of(server, parked)).state is MessageState.FAILED
    assert server.channel.texts(grace) == ["answer to one"]


async def test_a_full_backlog_keeps_nobody_from_stopping(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A person whose backlog is full can still say `stop`, which drops it, and then they can write again."""
    server = CoreServer(database, key_ring, person_backlog=2)
    waiting = [await server.say(ada, text) for text in ("one", "two")]
    with pytest.raises(OverLimitError):
        await server.say(ada, "three")
    await server.say(ada, "stop")
    hers = await server.say(grace, "stop", "g")
    await server.sender.send_waiting(ConversationKey.of(waiting[0]))
    await server.sender.send_waiting(ConversationKey.of(hers))

    assert [(await _of(server, each)).state for each in waiting] == [MessageState.FAILED] * 2
    assert server.channel.texts(ada) == [f"{STOPPED} I dropped 2 messages that I had not begun."]
    assert server.channel.texts(grace) == [NOTHING_TO_STOP]

    accepted: list[StoredMessage] = []

    async def accepts() -> bool:
        with suppress(OverLimitError):  # the backlog is counted twice a second
            accepted.append(await server.say(ada, "four"))
        return bool(accepted)

    await until(accepts)
    assert (await server.answer_next(accepted[0])).state is MessageState.DONE


async def test_a_stop_that_is_delivered_twice_ends_nothing_new(
    server: CoreServer, waits: Waits, ada: Principal, grace: Principal
) -> None:
    """A `stop` that is delivered twice does not end a message written after its first delivery."""
    waits.gate.set()
    await server.intake.accept(inbound(ada, "stop", event_id="E1"))
    message = await server.say(ada, "hello")
    other = await server.say(grace, "hi", "g")
    await server.intake.accept(inbound(ada, "stop", event_id="E1"))
    answered = [await server.answer_next(each) for each in (message, other)]

    assert [each.answer for each in answered] == ["answer to hello", "answer to hi"]
    assert server.channel.texts(ada).count(NOTHING_TO_STOP) == 1


async def _begin(server: CoreServer, message: StoredMessage) -> StoredMessage:
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    return begun
