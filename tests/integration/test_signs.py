"""Signs of life: the sender sees that a message is worked on, and later what is done; nothing waits for a sign."""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.agents.listening import Working
from app.database.database import Database
from app.errors import UnavailableError
from app.keys.ring import KeyRing
from app.messages import StoredMessage
from app.principal import Principal
from containers.testing import answering, call, prompts, scripted
from tests.fakes.assistants import Post
from tests.fakes.core_server import CoreServer, until
from tests.fakes.fading import Belonging, fading, without_the_collector

MINUTE = 60.0


class Hesitant:
    """A model that answers each person once it is allowed to.

    Attributes:
        may: The permissions, by the first word of the message.
    """

    def __init__(self, *names: str) -> None:
        self.may = {name: asyncio.Event() for name in names}

    async def model(self, messages: list[ModelMessage]) -> str:
        """Wait, and answer."""
        prompt = prompts(messages)[-1]
        await self.may[prompt.split()[0]].wait()
        return f"answer to {prompt}"

    async def stream(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        """Wait, and answer in one piece."""
        yield await self.model(messages)


async def test_each_person_is_shown_their_own_message_until_it_is_answered(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Each of two senders is shown signs until their own message is answered, and then the sign is cleared."""
    hesitant = Hesitant("ada", "grace")
    server = CoreServer(database, key_ring, model=answering(hesitant.model), first_sign_seconds=0.0)
    shown = server.channel.signs
    async with server.working():
        await server.say(ada, "ada asks", "a")
        await server.say(grace, "grace asks", "g")
        await until(lambda: {(ada, None), (grace, None)} <= set(shown))
        hesitant.may["ada"].set()
        await until(lambda: (ada, "idle") in shown)
        so_far = len(shown)
        await until(lambda: len(shown) > so_far + 3)
        hesitant.may["grace"].set()
        await until(lambda: (grace, "idle") in shown)
        await until(lambda: server.channel.texts(grace))

    assert {person for person, _ in shown[so_far:]} == {grace}
    assert [shown.count((person, "idle")) for person in (ada, grace)] == [1, 1]
    assert server.channel.texts(grace) == ["answer to grace asks"]


async def test_after_a_while_it_is_said_what_is_done(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """At first a sign shows only that the message is worked on, and later what the tool is doing."""
    reading, may_read = asyncio.Event(), asyncio.Event()

    async def before(_: str, __: str) -> None:
        reading.set()
        await may_read.wait()

    asks = scripted([call("letters_clock", "1")])
    server = CoreServer(database, key_ring, model=asks, post=Post(before=before), first_sign_seconds=0.0)
    shown = server.channel.signs
    async with server.working():
        await server.say(ada, "what time is it?")
        await reading.wait()
        await until(lambda: shown)
        assert set(shown) == {(ada, None)}
        server.clock.now += MINUTE
        await until(lambda: shown[-1] == (ada, "looking at the clock"))
        may_read.set()
        await until(lambda: shown[-1] == (ada, "idle"))
        await until(lambda: server.channel.texts(ada))

    assert server.channel.texts(ada) == ["letters_clock: noon"]


async def test_a_model_that_takes_long_is_named(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """While no tool runs, the sign says that the model is awaited, also to listeners of the run."""
    hesitant = Hesitant("ada")
    streaming = FunctionModel(stream_function=hesitant.stream)
    server = CoreServer(database, key_ring, model=streaming, first_sign_seconds=0.0)
    message = await server.say(ada, "ada asks")
    server.clock.now += MINUTE
    with server.streams.listening(message) as listening:
        async with server.working():
            await until(lambda: (ada, "waiting for the model") in server.channel.signs)
            told = await listening.next()
            hesitant.may["ada"].set()
            await until(lambda: server.channel.sent)

    assert told == Working("waiting for the model")


async def test_what_is_answered_at_once_needs_no_sign(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """A message that is answered at once gets no sign."""
    server = CoreServer(database, key_ring)
    await server.ask(ada, "help")

    assert server.channel.signs == []
    assert len(server.channel.sent) == 1


async def test_signs_go_on_between_two_tries(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """While a message waits for its next try, only its sender's sign says so, and the answer clears the sign."""
    busy = {"ada", "grace"}

    async def model(messages: list[ModelMessage]) -> str:
        prompt = prompts(messages)[-1]
        if prompt.split()[0] in busy:
            raise ModelHTTPError(503, "model")
        return f"answer to {prompt}"

    server = CoreServer(database, key_ring, model=answering(model), first_sign_seconds=0.0)
    shown = server.channel.signs
    waiting = "waiting a moment before trying again"
    async with server.working():
        await server.say(ada, "ada asks", "a")
        server.clock.now += MINUTE
        await until(lambda: (ada, waiting) in shown)
        await server.say(grace, "stop", "g")
        busy.clear()
        server.clock.now += MINUTE
        await until(lambda: server.channel.texts(ada))
        await until(lambda: shown[-1] == (ada, "idle"))

    assert {person for person, _ in shown} == {ada}
    assert [sign for _, sign in shown].count("idle") == 1
    assert server.channel.texts(ada) == ["answer to ada asks"]


async def test_who_stops_a_message_between_two_tries_has_no_sign_left(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """`stop` clears the sender's sign, and another person's sign goes on."""

    async def model(_: list[ModelMessage]) -> str:
        raise ModelHTTPError(503, "model")

    server = CoreServer(database, key_ring, model=answering(model), first_sign_seconds=0.0)
    shown = server.channel.signs
    async with server.working():
        for person, conversation in ((ada, "a"), (grace, "g")):
            await server.say(person, "ask", conversation)
            await until(partial(shown.count, (person, None)))
        await server.say(ada, "stop", "a")
        await until(lambda: (ada, "idle") in shown)
        so_far = len(shown)
        await until(lambda: len(shown) > so_far + 2)

    assert {person for person, _ in shown[so_far:]} == {grace}


class Slow:
    """Calls that show a sign until they are cancelled, and then end once they are allowed to.

    Attributes:
        shown: Whose signs are, or were, shown.
        ended: Whose calls have ended.
        may_end: The permission.
    """

    def __init__(self) -> None:
        self.shown: list[Principal] = []
        self.ended: list[Principal] = []
        self.may_end = asyncio.Event()

    async def show(self, message: StoredMessage, doing: str | None) -> None:
        """Show it."""
        self.shown.append(message.principal)
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()
            self.ended.append(message.principal)


async def test_a_server_that_stops_waits_for_a_sign_that_the_next_try_has_cancelled(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people's messages are answered while a sign is still being shown; the server then stops without an error."""
    busy, slow = {"ada", "grace"}, Slow()

    async def model(messages: list[ModelMessage]) -> str:
        prompt = prompts(messages)[-1]
        if prompt.split()[0] in busy:
            raise ModelHTTPError(503, "model")
        return f"answer to {prompt}"

    server = CoreServer(database, key_ring, model=answering(model))
    monkeypatch.setattr(server.channel, "show_working", slow.show)
    messages = [await server.ask(person, f"{name} asks", name) for person, name in ((ada, "ada"), (grace, "grace"))]
    await until(lambda: {*slow.shown} == {ada, grace})
    busy.clear()
    server.clock.now += MINUTE
    for message in messages:
        await server.answer_next(message)
    stopping = asyncio.create_task(server.answering.aclose())
    await asyncio.sleep(0)  # it waits by now
    assert slow.ended == []
    slow.may_end.set()
    (error,) = await asyncio.gather(stopping, return_exceptions=True)

    assert error is None
    assert {*slow.ended} == {ada, grace}
    assert server.channel.texts(ada) == ["answer to ada asks"]
    assert server.channel.texts(grace) == ["answer to grace asks"]


@pytest.mark.parametrize("busy", [set(), {"ada", "grace"}], ids=["answered", "tried again"])
async def test_a_sign_that_is_cancelled_keeps_nothing(
    database: Database,
    key_ring: KeyRing,
    ada: Principal,
    grace: Principal,
    monkeypatch: pytest.MonkeyPatch,
    busy: set[str],
) -> None:
    """What a call held that was showing a sign is freed without the collector when the answer or next try ends it."""
    held, shown, people = weakref.WeakSet[Belonging](), Counter[Principal](), {"ada": ada, "grace": grace}

    async def model(messages: list[ModelMessage]) -> str:
        name = prompts(messages)[-1].split()[0]
        await until(lambda: shown[people[name]])
        if name in busy:
            raise ModelHTTPError(503, "model")
        return "answered"

    async def show(message: StoredMessage, doing: str | None) -> None:
        belonging = Belonging()
        held.add(belonging)
        shown[message.principal] += 1
        await asyncio.Event().wait()

    server = CoreServer(database, key_ring, model=answering(model), first_sign_seconds=0.0)
    monkeypatch.setattr(server.channel, "show_working", show)
    with without_the_collector():
        async with server.working():
            for name, person in people.items():
                await server.say(person, f"{name} asks", name)
            if busy:
                await until(lambda: min(shown[ada], shown[grace]) >= 2)
                busy.clear()
                server.clock.now += MINUTE
            await until(lambda: server.channel.texts(ada) and server.channel.texts(grace))
        await fading(map(weakref.ref, held))

    assert min(shown[ada], shown[grace]) >= 1
    assert not [*held]


@pytest.mark.parametrize("failure", [UnavailableError("busy"), TimeoutError(), RuntimeError("secret")])
async def test_a_sign_that_fails_harms_nothing(
    database: Database, key_ring: KeyRing, ada: Principal, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A sign that fails is logged once without any text, the next one is tried, and the answer arrives."""
    hesitant = Hesitant("ada")
    server = CoreServer(database, key_ring, model=answering(hesitant.model), first_sign_seconds=0.0)
    server.channel.sign_failures += [failure, failure]
    async with server.working():
        await server.say(ada, "ada asks")
        await until(lambda: len(server.channel.signs) > 2)
        hesitant.may["ada"].set()
        await until(lambda: server.channel.sent)

    lines = [record.getMessage() for record in caplog.records if record.name == "app.delivery.work.signs"]
    assert len(lines) == 1
    assert "secret" not in lines[0]
    assert server.channel.texts(ada) == ["answer to ada asks"]
