"""The worker answers every accepted message, in order, despite crashes, cancellations and lost wake-ups."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest
from pydantic_ai.messages import ModelMessage

from app.database.database import Database
from app.delivery.store.inbox import Upcoming
from app.delivery.work.answering import referenced
from app.delivery.work.runs import RunningMessage
from app.delivery.work.worker import CRASHED, INTERRUPTED
from app.errors import UnavailableError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal
from containers.testing import answering, prompts
from tests.fakes.core_server import CoreServer, inbound, until
from tests.fakes.fading import fading, without_the_collector
from tests.fakes.leaping import LeapingClock
from tests.fakes.sandbox import SEND

SECRET = "text-of-a-mail and ya29.token"


class Says:
    """A model that repeats the last prompt, after first awaiting what a test has set for that prompt.

    Attributes:
        before: What to await before answering a prompt.
        began: The prompts in the order in which their runs began.
        most_of_one: The highest number of prompts of one conversation that were being answered at the same time.
    """

    def __init__(self) -> None:
        self.before: dict[str, Callable[[], Awaitable[Any]]] = {}
        self.began: list[str] = []
        self._now: list[str] = []
        self.most_of_one = 0

    async def __call__(self, messages: list[ModelMessage]) -> str:
        """Answer the last prompt."""
        prompt = prompts(messages)[-1]
        conversation = prompt.split()[0]
        self.began.append(prompt)
        self._now.append(conversation)
        self.most_of_one = max(self.most_of_one, self._now.count(conversation))
        try:
            await self.before.get(prompt, _soon)()
        finally:
            self._now.remove(conversation)
        return f"answer to {prompt}"


async def _soon() -> None:
    await asyncio.sleep(0.005)


async def _never() -> None:
    await asyncio.Event().wait()


async def _once(says: Says, prompt: str, before: Callable[[], Awaitable[Any]]) -> None:
    """Await `before` the first time that the prompt is answered, and nothing when it is begun again."""
    del says.before[prompt]
    await before()


@pytest.fixture
def says() -> Says:
    """Return the model's behaviour."""
    return Says()


@pytest.fixture
def server(database: Database, key_ring: KeyRing, says: Says) -> CoreServer:
    """Return a process whose model repeats each prompt."""
    return CoreServer(database, key_ring, model=answering(says))


async def _all_ended(server: CoreServer, messages: list[StoredMessage]) -> None:
    for message in messages:
        await until(lambda message=message: server.ended(message))  # type: ignore[misc]


async def test_conversations_are_answered_in_order_and_side_by_side(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """Messages of one conversation are answered one at a time, in order; different conversations run in parallel."""
    said = [
        await server.say(person, f"{name} {number}", name)
        for number in range(4)
        for name, person in (("a", ada), ("b", grace), ("c", ada), ("d", grace), ("e", ada))
    ]
    for name in "abcde":
        says.before[f"{name} 0"] = lambda: until(lambda: server.open_at_most == 3)
    async with server.working(concurrency=3):
        await _all_ended(server, said)

    for name in "abcde":
        assert [prompt for prompt in says.began if prompt.startswith(name)] == [f"{name} {n}" for n in range(4)]
    assert (says.most_of_one, server.open_at_most) == (1, 3)
    assert len(server.channel.sent) == 20


async def test_two_speakers_of_a_group_take_turns(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """In a group conversation a message starts only after the previous one is answered, whoever wrote it."""
    said = [await server.say(person, f"group {n}", "group") for n in range(4) for person in (ada, grace)]
    async with server.working():
        await _all_ended(server, said)

    assert says.most_of_one == 1
    assert server.channel.texts(ada) == server.channel.texts(grace) == [f"answer to group {n}" for n in range(4)]


async def test_a_wake_up_during_the_last_look_is_not_lost(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """A message stored just after the worker found no more to do is answered without waiting for the scan."""
    next_up = server.inbox.next_up
    late: list[StoredMessage] = []

    async def look_and_be_late(conversation: ConversationKey, besides: Collection[Principal] = ()) -> Upcoming | None:
        upcoming = await next_up(conversation, besides)
        if upcoming is not None and not upcoming.more and not late:
            late.append(await server.say(grace, "group late", "group"))
            await asyncio.sleep(0.02)  # long enough for the wake-up to be taken
        return upcoming

    server.inbox.next_up = look_and_be_late  # type: ignore[method-assign]
    async with server.working(scan_seconds=60):
        await server.say(ada, "group first", "group")
        await until(lambda: len(server.channel.sent) == 2)

    assert says.began == ["group first", "group late"]


async def test_many_posts_during_the_work_are_all_answered(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """Messages that arrive in bursts, with duplicate wake-ups, are each answered once without the scan."""
    async with server.working(scan_seconds=60):
        said = []
        for number in range(10):
            accepted = await asyncio.gather(
                *(server.say(person, f"{person.user} {number}", person.user) for person in (ada, grace))
            )
            said += accepted
            await server.wakeups.wake(ConversationKey.of(accepted[0]))
            await asyncio.sleep(0.002 * (number % 3))
        await _all_ended(server, said)

    assert server.channel.texts(ada) == [f"answer to ada {number}" for number in range(10)]
    assert server.channel.texts(grace) == [f"answer to grace {number}" for number in range(10)]


async def test_what_an_earlier_process_left_is_answered_in_its_place(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """At start-up the worker resumes interrupted messages before later ones, and finds those that were never woken."""
    said = [await server.say(ada, "a 1", "a")]
    await server.inbox.begin_next(ConversationKey.of(said[0]))
    said.append(await server.say(ada, "a 2", "a"))
    said.append((await server.inbox.accept(inbound(grace, "g 1", conversation="g")))[0])

    async with server.working():
        await _all_ended(server, said)

    assert [prompt for prompt in says.began if prompt != "g 1"] == ["a 1", "a 2"]
    assert server.channel.texts(grace) == ["answer to g 1"]


async def test_a_message_in_nobodys_hands_is_taken_up_again(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """A message whose row says it is running, but which no task is answering, is resumed before the next start."""
    async with server.working():
        lost = await server.say(ada, "ada 1", "a")
        await until(lambda: server.ended(lost))
        again = await server.inbox.accept(inbound(ada, "ada 2", conversation="a"))
        await server.inbox.begin_next(ConversationKey.of(lost))
        other = await server.say(grace, "grace 1", "g")
        await _all_ended(server, [again[0], other])

    assert server.channel.texts(ada) == ["answer to ada 1", "answer to ada 2"]


async def test_a_message_in_work_is_left_alone_by_the_scan(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """A message that is being answered is begun and answered only once, although the scan runs in the meantime."""
    says.before["slow"] = lambda: asyncio.sleep(0.3)
    for person, text, conversation in ((ada, "slow", "a"), (grace, "grace", "g")):
        await server.say(person, text, conversation)
    async with server.working(scan_seconds=0.01):
        await until(lambda: len(server.channel.sent) == 2)
        server.clock.now += 11
        await asyncio.sleep(0.1)

    assert sorted(says.began) == ["grace", "slow"]
    assert len(server.channel.sent) == 2


async def test_a_reply_lost_between_commit_and_send_is_sent_by_the_scan(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """A reply that the channel did not accept is sent later, once; one that it accepted is not sent again."""
    server.channel.failures.append(UnavailableError("away"))
    async with server.working(scan_seconds=0.02):
        lost = await server.say(ada, "ada 1", "a")
        await until(lambda: server.puts_off(1))
        told = await server.say(grace, "grace 1", "g")
        await until(lambda: len(server.channel.sent) == 1)
        server.clock.now += 11
        await until(lambda: len(server.channel.sent) == 2)
        server.clock.now += 11
        await asyncio.sleep(0.1)

    assert [sent.message_id for sent in server.channel.sent] == [told.message_id, lost.message_id]


async def test_a_reply_that_is_under_way_is_not_sent_twice(server: CoreServer, ada: Principal) -> None:
    """The scan does not send a reply again while the channel is still sending it."""
    server.channel.gate.clear()
    async with server.working(scan_seconds=0.01):
        await server.say(ada, "ada 1", "a")
        await until(lambda: server.sender._begun)
        server.clock.now += 60
        await asyncio.sleep(0.1)
        server.channel.gate.set()
        await until(lambda: server.channel.sent)
        await asyncio.sleep(0.1)

    assert server.channel.texts(ada) == ["answer to ada 1"]


async def test_one_reply_that_cannot_be_sent_does_not_stop_the_others(
    server: CoreServer, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected channel error on one reply stops no other reply or message, and the log holds no secret."""
    server.channel.failures += [RuntimeError(SECRET), UnavailableError("away")]
    async with server.working(scan_seconds=0.02):
        await server.say(ada, "ada 1", "a")
        await until(lambda: len(server.channel.failures) == 1)
        await server.say(grace, "grace 1", "g")
        await until(lambda: server.puts_off(2))
        server.channel.failures.append(RuntimeError(SECRET))
        server.clock.now += 11
        await until(lambda: len(server.channel.sent) == 1)
        await until(lambda: server.puts_off(1))
        server.clock.now += 11
        await until(lambda: len(server.channel.sent) == 2)
        undone, _ = await server.inbox.accept(inbound(grace, "grace 2", conversation="g"))
        await until(lambda: server.ended(undone))

    assert (server.channel.texts(ada), server.channel.texts(grace)[0]) == (["answer to ada 1"], "answer to grace 1")
    assert "sending the answer to message" in caplog.text
    assert SECRET not in caplog.text


async def test_an_interrupted_message_is_answered_later(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """A cancelled run is repeated before the next message of its conversation; other conversations are not affected."""
    gate = asyncio.Event()
    says.before["a 1"] = gate.wait
    async with server.working() as worker:
        said = [await server.say(ada, "a 1", "a"), await server.say(ada, "a 2", "a"), await server.say(grace, "g", "g")]
        await until(lambda: "a 1" in says.began)
        assert worker.interrupt(said[0].message_id)
        gate.set()
        await _all_ended(server, said)

    assert [prompt for prompt in says.began if prompt != "g"] == ["a 1", "a 1", "a 2"]
    assert server.channel.texts(ada) == ["answer to a 1", "answer to a 2"]
    assert not worker.interrupt(said[0].message_id)


async def test_a_run_that_is_cancelled_before_it_begins_is_handed_back(
    server: CoreServer, says: Says, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a message is answered at once, not only when the scan finds it or its lease expires; nothing is kept."""
    add, cancelled = server.runs.add, dict[str, weakref.ref[asyncio.Task[None]]]()

    def add_and_cancel(run: RunningMessage) -> None:
        add(run)
        if run.message.message_id not in cancelled:
            cancelled[run.message.message_id] = weakref.ref(run.task)
            assert run.cancel()

    monkeypatch.setattr(server.runs, "add", add_and_cancel)
    with without_the_collector():
        async with server.working(scan_seconds=3600.0, attempts=1):
            said = [await server.say(ada, "a", "a"), await server.say(grace, "g", "g")]
            await _all_ended(server, said)
        await fading(cancelled.values())

    assert cancelled.keys() == {message.message_id for message in said}
    assert not any(task() for task in cancelled.values())
    assert sorted(says.began) == ["a", "g"]
    assert (server.channel.texts(ada), server.channel.texts(grace)) == (["answer to a"], ["answer to g"])


async def test_a_message_that_is_interrupted_too_often_is_given_up(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """A message that is interrupted as often as attempts allow gets an apology, and its conversation continues."""
    says.before["a 1"] = _never
    async with server.working(attempts=2) as worker:
        said = [await server.say(ada, "a 1", "a"), await server.say(grace, "a 2", "a")]
        for times in (1, 2):
            await until(lambda times=times: says.began.count("a 1") == times)  # type: ignore[misc]
            worker.interrupt(said[0].message_id)
        await _all_ended(server, said)

    assert says.began == ["a 1", "a 1", "a 2"]
    assert (server.channel.texts(ada), server.channel.texts(grace)) == (
        [referenced(INTERRUPTED, said[0])],
        ["answer to a 2"],
    )


@pytest.mark.parametrize("renewed", [True, False])
async def test_what_cannot_be_renewed_is_let_go(
    server: CoreServer, says: Says, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch, renewed: bool
) -> None:
    """A run whose lease expires by the worker's own clock is cancelled, even if no other worker has taken it."""
    if not renewed:
        monkeypatch.setattr(server.inbox, "renew", AsyncMock(side_effect=OSError("the database is away")))
    server.answering._deadline_seconds = 3600.0
    clock, outlived = LeapingClock(monkeypatch), asyncio.Event()
    for prompt in ("a 1", "g 1"):
        says.before[prompt] = partial(_once, says, prompt, outlived.wait if renewed else _never)
    async with server.working(lease_seconds=30.0) as worker:
        said = [await server.say(ada, "a 1", "a"), await server.say(grace, "g 1", "g")]
        await until(lambda: sorted(says.began) == ["a 1", "g 1"])
        for _ in range(4):  # a lease is renewed three times before it would expire
            expiries = [run.lease_over.when() for run in worker._runs]
            clock.leap(10.0)
            if renewed:
                await until(lambda: all(run.lease_over.when() > max(expiries) for run in worker._runs))  # noqa: B023
        outlived.set()
        await _all_ended(server, said)

    assert sorted(says.began) == (["a 1", "g 1"] if renewed else ["a 1", "a 1", "g 1", "g 1"])
    assert (server.channel.texts(ada), server.channel.texts(grace)) == (["answer to a 1"], ["answer to g 1"])


async def test_waiting_for_its_person_is_no_interruption(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """A message that waits for its person more often than there are attempts is still answered."""
    server = CoreServer(database, key_ring)
    async with server.working(attempts=1):
        message = await server.say(ada, "/letters_send to=bob", "a")
        await until(lambda: server.is_in(message, MessageState.PARKED))
        await server.grant(ada, SEND)
        await server.parking.consent_ended(ada, granted=True)
        await until(lambda: server.codes(message))
        (code,) = await server.codes(message)
        await server.say(ada, f"approve {code}", "a")
        await until(lambda: server.ended(message))

    assert server.channel.texts(ada)[-1] == "sent to bob"
    assert server.post.names("ada") == ["send"]


async def test_a_crash_fails_the_message_with_an_apology_and_says_nothing_of_its_text(
    server: CoreServer, says: Says, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash fails only its own message, with an apology; the log contains neither its text nor a token."""

    async def crash() -> None:
        raise RuntimeError(SECRET) from ValueError(SECRET)

    says.before["a 1"] = crash
    async with server.working():
        said = [await server.say(ada, "a 1", "a"), await server.say(ada, "a 2", "a"), await server.say(grace, "g", "g")]
        await _all_ended(server, said)
    gc.collect()

    assert server.channel.texts(ada) == [referenced(CRASHED, said[0]), "answer to a 2"]
    assert server.channel.texts(grace) == ["answer to g"]
    assert "RuntimeError at " in caplog.text
    assert SECRET not in caplog.text + "".join(str(record.exc_info) for record in caplog.records)


async def test_an_end_that_cannot_be_stored_is_made_up_for(
    server: CoreServer, says: Says, ada: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """If marking a crashed message as failed also fails, no error escapes the task and the scan runs it again."""
    broken = [RuntimeError(SECRET)] * 2
    fail = server.inbox.fail

    async def crash() -> None:
        if broken:
            raise broken.pop()

    async def fail_or_break(message: StoredMessage, apology: str, error: str | None = None) -> bool:
        if broken:
            raise broken.pop()
        return await fail(message, apology, error)

    server.inbox.fail = fail_or_break  # type: ignore[method-assign]
    says.before["a 1"] = crash
    with caplog.at_level(logging.DEBUG):
        async with server.working(scan_seconds=0.02):
            message = await server.say(ada, "a 1", "a")
            await until(lambda: server.ended(message))
        gc.collect()  # a lost error is logged when its task is freed

    assert server.channel.texts(ada) == ["answer to a 1"]
    unretrieved = [text for text in caplog.messages if "never retrieved" in text]  # also from other tests' connections
    assert not [text for text in unretrieved if "RuntimeError" in text]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("how", ["answered", "crashed", "interrupted"])
async def test_an_ended_message_leaves_no_agent_behind(
    server: CoreServer, says: Says, ada: Principal, grace: Principal, how: str
) -> None:
    """The agent of an ended message is freed before its reply is sent, without the cyclic garbage collector."""
    says.before["a 1"] = {"answered": _soon, "crashed": _crash, "interrupted": _never}[how]
    server.channel.gate.clear()
    with without_the_collector():
        async with server.working(attempts=1) as worker:
            message = await server.say(ada, "a 1", "a")
            await until(lambda: says.began)
            if how == "interrupted":
                worker.interrupt(message.message_id)
            await until(lambda: server.ended(message))
            await fading(server.agents)

            assert [agent() for agent in server.agents] == [None]
            server.channel.gate.set()
            await until(lambda: server.channel.sent)


async def _crash() -> None:
    raise RuntimeError(SECRET)


async def test_stopping_hands_back_what_is_not_finished_and_begins_nothing(
    server: CoreServer, says: Says, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On shutdown, running messages get a grace period; unfinished ones are put back, and no new ones are started."""
    leaving = asyncio.Event()
    says.before |= {"slow": _never, "g 1": leaving.wait}
    clock = LeapingClock(monkeypatch)
    async with server.working(concurrency=2, grace_seconds=30.0) as worker:
        said = [
            await server.say(ada, "slow", "a"),
            await server.say(grace, "g 1", "g"),
            await server.say(grace, "g 2", "g"),
        ]
        await until(lambda: {"slow", "g 1"} <= set(says.began))

        async def leave() -> None:
            await until(lambda: worker._stopping)
            leaving.set()
            await until(lambda: server.ended(said[1]))
            clock.leap(30.0)

        leaver = asyncio.create_task(leave())
    await leaver

    states = [(await server.inbox.get(each.principal, each.message_id)).state for each in said]
    assert states == [MessageState.NEW, MessageState.DONE, MessageState.NEW]
    assert "g 2" not in says.began
    assert server.open_now == 0
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_no_transaction_is_open_while_the_model_answers(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """While the model is still answering one person, other people's messages are stored and answered."""
    gate = asyncio.Event()
    says.before["slow"] = gate.wait
    async with server.working():
        slow = await server.say(ada, "slow", "a")
        await until(lambda: says.began)
        quick = await asyncio.wait_for(server.say(grace, "g 1", "g"), 30)
        await until(lambda: server.ended(quick))
        assert not await server.ended(slow)
        gate.set()
        await until(lambda: server.ended(slow))


async def test_a_waiting_message_that_expires_is_told(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """A parked message that expires is ended by the scan, and its sender gets an apology."""
    server = CoreServer(database, key_ring)
    async with server.working(scan_seconds=0.02):
        message = await server.say(ada, "/letters_shout text=hey", "a")
        await until(lambda: server.channel.sent)
        server.clock.now += 3601
        await until(lambda: server.ended(message))
        server.clock.now += 11
        await until(lambda: len(server.channel.sent) == 2)

    assert 'and dropped your message "/letters_shout text=hey"' in server.channel.texts(ada)[1]


async def test_a_decision_whose_wake_up_was_lost_is_found(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """If a process dies between storing a decision and the wake-up, the scan resumes the run."""
    server = CoreServer(database, key_ring)
    async with server.working(scan_seconds=0.02):
        said = [await server.say(person, f"/letters_shout text={person.user}", person.user) for person in (ada, grace)]
        await until(lambda: len(server.channel.sent) == 2)
        (code,) = await server.codes(said[0])
        await server.approvals.decide(ada, code, approved=True)
        await until(lambda: server.ended(said[0]))

    assert server.channel.texts(ada)[-1] == "shouted ada"
    assert await server.is_in(said[1], MessageState.PARKED)
    assert [name for name, _, _ in server.post.done] == ["ada"]


async def test_one_busy_person_does_not_keep_others_waiting(
    server: CoreServer, says: Says, ada: Principal, grace: Principal
) -> None:
    """When one person's many chats came first, another person is still answered at once, and no message is lost."""
    gate = asyncio.Event()
    for number in range(6):
        says.before[f"a{number} x"] = gate.wait
    async with server.working(concurrency=3, person_concurrency=2, scan_seconds=60):
        said = [await server.say(ada, f"a{number} x", f"a{number}") for number in range(6)]
        await until(lambda: len(says.began) == 2)
        hers = await server.say(grace, "g x", "g")
        await until(lambda: server.ended(hers))
        begun = list(says.began)
        gate.set()
        await _all_ended(server, said)

    # Which two of the six come first is not guaranteed.
    assert sorted(prompt[0] for prompt in begun) == ["a", "a", "g"]
    assert server.open_at_most == 3
