"""A message that kills its processes is found and given up, and no other message fails because of it.

A process "dies" here by losing its hold on the database: it can no longer change the state of its messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage

from app.database.database import Database
from app.delivery.store.inbox import Inbox
from app.delivery.work.answering import referenced
from app.delivery.work.worker import INTERRUPTED
from app.keys.ring import KeyRing
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from containers.testing import RecordingChannel, answering, prompts
from tests.fakes.core_server import CoreServer, until

ATTEMPTS = 4
PEOPLE = 4


class Machine:
    """A database and a channel that survive, and processes that die when they answer poison.

    Args:
        crowd: How many prompts must be running before the first process dies.

    Attributes:
        deaths: For each death, the prompts that were running.
        released: Lets ordinary prompts finish; set by the first death.
    """

    def __init__(self, database: Database, key_ring: KeyRing, *, crowd: int = 0) -> None:
        self._database = database
        self._key_ring = key_ring
        self.channel = RecordingChannel()
        self.deaths: list[frozenset[str]] = []
        self.released = asyncio.Event()
        self._crowd = crowd
        self._crowded = asyncio.Event()
        self._in_work: set[str] = set()
        self._died = asyncio.Event()

    async def model(self, messages: list[ModelMessage]) -> str:
        """Answer the prompt, or kill the process."""
        prompt = prompts(messages)[-1]
        self._in_work.add(prompt)
        try:
            if len(self._in_work) >= self._crowd:
                self._crowded.set()
            await (self._crowded if is_poison(prompt) else self.released).wait()
            if is_poison(prompt):
                self.die()
            if self._died.is_set():
                await asyncio.Event().wait()
            return f"answer to {prompt}"
        finally:
            self._in_work.discard(prompt)

    def die(self) -> None:
        """Kill the running process."""
        if not self._died.is_set():
            self.deaths.append(frozenset(self._in_work))
            self._died.set()
            self.released.set()

    def process(self) -> CoreServer:
        """Return the objects of a new process."""
        self._died = asyncio.Event()
        server = CoreServer(self._database, self._key_ring, model=answering(self.model), channel=self.channel)
        inbox = server.inbox
        for owner, name in ((inbox._ending, "end"), (inbox, "put_back"), (inbox, "try_later")):
            setattr(owner, name, self._while_alive(getattr(owner, name)))
        return server

    def _while_alive(self, leave: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        died = self._died

        async def leave_while_alive(*arguments: Any, **more: Any) -> bool:
            return not died.is_set() and await leave(*arguments, **more)

        return leave_while_alive

    async def run(self, said: list[StoredMessage]) -> None:
        """Start a new process after each death until every message is answered or given up."""
        while True:
            server = self.process()
            await server.inbox.recover()
            async with server.working(concurrency=PEOPLE + 2, attempts=ATTEMPTS, scan_seconds=1, grace_seconds=0.0):
                ended = asyncio.create_task(_ended(server.inbox, said))
                died = asyncio.create_task(self._died.wait())
                await asyncio.wait([ended, died], return_when=asyncio.FIRST_COMPLETED)
                done = ended.done()
                for task in (ended, died):
                    task.cancel()
                if done:
                    await ended
                    return
            assert len(self.deaths) < 3 * ATTEMPTS, "it is tried for ever"


def is_poison(prompt: str) -> bool:
    """Return whether the prompt kills its process."""
    return prompt.startswith("poison")


async def _ended(inbox: Inbox, said: list[StoredMessage]) -> None:
    ids = [message.message_id for message in said]
    while True:
        states = {state for state, _ in (await inbox.versions(ids)).values()}
        if states <= {MessageState.DONE, MessageState.FAILED}:
            return
        await asyncio.sleep(0.02)


def _people() -> list[Principal]:
    return [Principal("http", "demo", f"person-{number}") for number in range(PEOPLE)]


@pytest.mark.parametrize("company", ["once", "always"])
async def test_the_culprit_is_found_and_nobody_else_pays(
    database: Database, key_ring: KeyRing, grace: Principal, company: str
) -> None:
    """Poison is given up after the maximum number of deaths, and every message that ran beside it is answered."""
    machine = Machine(database, key_ring, crowd=PEOPLE + 1)
    accepting = machine.process()
    people = _people()
    said = [await accepting.say(person, f"hello {person.user}", person.user) for person in people]
    poison = await accepting.say(grace, "poison", "g")
    if company == "always":  # new messages run beside it in the second process too
        said += [await accepting.say(person, f"again {person.user}", person.user) for person in people]
    await machine.run([*said, poison])

    given_up = await accepting.inbox.get(grace, poison.message_id)
    assert (given_up.state, given_up.answer) == (MessageState.FAILED, referenced(INTERRUPTED, poison))
    assert len(machine.deaths) == ATTEMPTS
    assert len(machine.deaths[0]) == PEOPLE + 1
    assert machine.deaths[2:] == [frozenset({"poison"})] * (ATTEMPTS - 2)
    states = [(await accepting.inbox.get(each.principal, each.message_id)) for each in said]
    assert {each.state for each in states} == {MessageState.DONE}
    assert max(each.interruptions for each in states) <= 2


async def test_two_culprits_are_both_found(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Two poison messages running at once are both given up, and a harmless message beside them is answered."""
    machine = Machine(database, key_ring, crowd=3)
    accepting = machine.process()
    poison = [await accepting.say(person, f"poison {person.user}", person.user) for person in (ada, grace)]
    (innocent,) = [await accepting.say(person, "hello", person.user) for person in _people()[:1]]
    await machine.run([*poison, innocent])

    states = [(await accepting.inbox.get(each.principal, each.message_id)).state for each in (*poison, innocent)]
    assert states == [MessageState.FAILED, MessageState.FAILED, MessageState.DONE]
    assert len(machine.deaths) <= 2 * ATTEMPTS


async def test_a_process_that_ends_in_order_makes_nobody_a_suspect(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Restarting servers while a message runs never counts as an interruption."""
    machine = Machine(database, key_ring)
    said = [await machine.process().say(person, f"slow {person.user}", person.user) for person in (ada, grace)]
    for _ in range(ATTEMPTS + 1):
        server = machine.process()
        async with server.working(attempts=ATTEMPTS, scan_seconds=1, grace_seconds=0.0) as worker:
            await until(lambda: len(worker.in_work) == 2)
    machine.released.set()
    server = machine.process()
    async with server.working(attempts=ATTEMPTS):
        await _ended(server.inbox, said)

    assert [(await server.inbox.get(each.principal, each.message_id)).interruptions for each in said] == [0, 0]
    assert machine.channel.texts(ada) == ["answer to slow ada"]
