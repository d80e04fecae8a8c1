"""POST /v1/messages as server-sent events, over real HTTP: the sender alone sees the answer while it is written."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.agents.listening import ToolState, ToolUsed
from app.database.database import Database
from app.delivery.replies.streams import Streams
from app.keys.ring import KeyRing
from app.principal import Principal
from app.sections.agents import AgentSettings
from app.sections.delivery import DeliverySettings
from containers.application import Application
from tests.fakes.chat_server import ChatServer, chat_server
from tests.fakes.core_server import CoreServer
from tests.fakes.environment import Environment, open_environment
from tests.fakes.fading import fading
from tests.fakes.server import ADA, GRACE, PATIENCE_SECONDS, Server, eventually

Event = tuple[str, dict[str, Any]]


@pytest.fixture
async def model() -> AsyncIterator[ChatServer]:
    """Yield a model that streams word by word."""
    async with chat_server() as model:
        yield model


@pytest.fixture
async def environment(tmp_path: Path, model: ChatServer) -> AsyncIterator[Environment]:
    """Yield an environment whose assistant uses that model."""
    async with open_environment(tmp_path) as environment:
        agents = {"assistant": AgentSettings(model="local", toolkits=("gmail",))}
        environment.settings = environment.settings.model_copy(
            update={"models": {"local": model.settings}, "agents": agents}
        )
        yield environment


@pytest.fixture
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with environment.server() as server:
        yield server


@asynccontextmanager
async def streaming(
    server: Server, principal: Principal, text: str, **body: Any
) -> AsyncIterator[tuple[httpx2.Response, AsyncIterator[Event]]]:
    """Post a message, and yield the response with its events, one by one."""
    headers = {**await server.bearer(principal), "Accept": "text/event-stream"}
    body = {"conversation": "main", "text": text, **body}
    async with server.client.stream("POST", "/v1/messages", json=body, headers=headers) as response:
        yield response, _events(response)


async def stream(server: Server, principal: Principal, text: str, **body: Any) -> list[Event]:
    """Post a message and return all of its events."""
    async with streaming(server, principal, text, **body) as (_, events):
        return [event async for event in events]


async def _events(response: httpx2.Response) -> AsyncIterator[Event]:
    name = ""
    async for line in response.aiter_lines():
        kind, _, value = line.partition(": ")
        if kind == "event":
            name = value
        elif kind == "data" and name != "working":  # a slow machine sends it sometimes
            yield name, json.loads(value)


def texts(events: list[Event]) -> str:
    """Return what the model wrote."""
    return "".join(data["delta"] for name, data in events if name == "text")


def _waiting(streams: Streams) -> int:
    """Return how many readers wait for a run to begin."""
    return sum(map(len, streams._waiting.values()))


async def test_an_answer_is_streamed_as_it_is_written(server: Server, ada: Principal) -> None:
    """A stream begins with the acceptance, continues with pieces of text, and ends with what a plain POST returns."""
    events = await stream(server, ada, "hello to you")
    (_, accepted), *pieces, (last, status) = events

    assert (events[0][0], last) == ("accepted", "status")
    assert accepted == {"message": status["message"], "state": "new"}
    assert {name for name, _ in pieces} == {"text"}
    assert len(pieces) == 5
    assert texts(events) == status["answer"] == "you said hello to you "
    assert status == await server.told(ada, status["message"])


async def test_the_events_are_not_held_back(server: Server, ada: Principal, model: ChatServer) -> None:
    """Each word is sent before the next one is written, and the response is not cached."""
    write = asyncio.Semaphore(2)
    model.before_word = lambda _: write.acquire()

    async with streaming(server, ada, "hello") as (response, events):
        first = [await anext(events) for _ in range(3)]
        write.release()
        rest = [event async for event in events]

    assert texts(first) == "you said "
    assert texts(rest) == "hello "
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"


async def test_two_people_streaming_at_once_hear_their_own_only(
    server: Server, ada: Principal, grace: Principal, model: ChatServer
) -> None:
    """Two people who stream at once, in conversations and with ids of the same names, each get only their own words."""
    turn = asyncio.Barrier(2)
    model.before_word = lambda _: turn.wait()

    hers, theirs = await asyncio.gather(
        stream(server, ada, "a a a a a", id="1"), stream(server, grace, "g g g g g", id="1")
    )

    assert texts(hers) == "you said a a a a a "
    assert texts(theirs) == "you said g g g g g "
    assert {data["message"] for name, data in hers if name != "text"}.isdisjoint(
        data["message"] for name, data in theirs if name != "text"
    )


async def test_tools_are_told_by_name_alone(server: Server, ada: Principal, grace: Principal) -> None:
    """The start and end of a tool call are events, which do not contain its arguments."""
    await server.connect(ada, ADA)
    await server.connect(grace, GRACE)

    streams = await asyncio.gather(
        *(stream(server, person, 'use gmail_search {"query": "zebra"}') for person in (ada, grace))
    )

    for events in streams:
        tools = [data for name, data in events if name == "tool"]
        assert tools == [{"name": "gmail_search", "state": "started"}, {"name": "gmail_search", "state": "done"}]
        assert "zebra" not in json.dumps(tools)
        assert events[-1][1]["state"] == "done"


async def test_a_failed_tool_is_told(server: Server, ada: Principal) -> None:
    """A call that the toolkit refuses is reported as failed."""
    await server.connect(ada, ADA)

    events = await stream(server, ada, 'use gmail_search {"limit": 1}')

    assert [data["state"] for name, data in events if name == "tool"][:2] == ["started", "failed"]


async def test_a_run_that_waits_ends_the_stream_without_an_answer(server: Server, ada: Principal) -> None:
    """A run that waits for consent ends the stream with that status, without an answer."""
    events = await stream(server, ada, "try gmail_unread")
    status = events[-1][1]

    assert [name for name, _ in events] == ["accepted", "text", "text", "text", "tool", "status"]
    assert events[-2][1] == {"name": "gmail_unread", "state": "started"}
    assert (status["state"], status["waits_for"]) == ("parked", "consent")
    assert "answer" not in status
    assert "try" not in json.dumps(status)


async def test_a_client_that_hangs_up_loses_nothing(server: Server, ada: Principal, model: ChatServer) -> None:
    """If the client disconnects, the message is still answered, and its listener is removed."""
    write = asyncio.Semaphore(1)
    model.before_word = lambda _: write.acquire()
    async with streaming(server, ada, "hello") as (_, events):
        accepted = (await anext(events))[1]
        await anext(events)
    write.release()
    write.release()

    assert (await server.told(ada, accepted["message"]))["answer"] == "you said hello "
    await eventually(lambda: _waiting(server.container.streams()) == 0)


async def test_a_message_that_was_answered_yields_its_status(server: Server, ada: Principal, grace: Principal) -> None:
    """A message posted again streams only its status; another person's message with the same id is separate."""
    once = await stream(server, ada, "hello", id="1")
    again, other = await stream(server, ada, "hello", id="1"), await stream(server, grace, "hi", id="1")

    assert [name for name, _ in again] == ["accepted", "status"]
    assert again[-1] == once[-1]
    assert other[-1][1]["answer"] == "you said hi "
    await eventually(lambda: _waiting(server.container.streams()) == 0)


def looking_often(container: Application) -> None:
    """Let a server check twenty times a second for messages that other processes have answered."""
    container.waiters.add_kwargs(look_seconds=0.05)


async def test_a_message_that_another_process_answers_yields_its_status(
    environment: Environment, ada: Principal, model: ChatServer
) -> None:
    """A stream on one process ends with the status that another process has stored."""
    begun, gate = asyncio.Event(), asyncio.Event()

    async def wait(_: str) -> None:
        begun.set()
        await gate.wait()

    model.before_word = wait
    async with (
        environment.server(database="shared") as answering,
        environment.in_process(looking_often, database="shared") as watching,
    ):
        first = asyncio.create_task(stream(answering, ada, "hello", id="1"))
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        watching._tokens.update(answering._tokens)
        second = asyncio.create_task(stream(watching, ada, "hello", id="1"))
        await eventually(lambda: _waiting(watching.container.streams()) == 1)
        gate.set()
        ours, theirs = await first, await second

    assert [name for name, _ in theirs] == ["accepted", "status"]
    assert theirs[-1] == ours[-1]


async def test_the_model_is_asked_to_stream_only_for_a_listener(
    server: Server, ada: Principal, model: ChatServer
) -> None:
    """The model is asked to stream only if somebody listens."""
    plain = await server.ask(ada, "hello")
    await stream(server, ada, "hello")

    assert plain.json()["answer"].strip() == "you said hello"
    assert [bool(asked.body.get("stream")) for asked in model.asked] == [False, True]


async def test_a_model_that_fails_ends_the_stream_with_an_apology(
    environment: Environment, ada: Principal, model: ChatServer
) -> None:
    """If the model fails and is not retried, the stream ends with the failed status."""
    model.faults.extend([503] * 3)

    async with environment.server(delivery=DeliverySettings(tries=1)) as server:
        events = await stream(server, ada, "hello")

    assert [name for name, _ in events] == ["accepted", "status"]
    assert events[-1][1]["state"] == "failed"


async def test_a_refused_message_is_no_stream(server: Server, ada: Principal) -> None:
    """A refused message gets an error status and JSON, even if the client accepts a stream."""
    async with streaming(server, ada, "   ") as (response, _):
        body = json.loads(await response.aread())

    assert (response.status_code, body["error"]) == (400, "InvalidMessageError")
    assert _waiting(server.container.streams()) == 0


async def test_a_run_that_is_heard_outlives_nothing(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Agents whose runs are streamed are freed after their answers, without the cyclic garbage collector."""
    server = CoreServer(database, key_ring)
    messages = [await server.say(person, "/letters_clock", person.user) for person in (ada, grace)]
    gc.disable()
    try:
        with server.streams.listening(messages[0]) as hers, server.streams.listening(messages[1]) as theirs:
            await asyncio.gather(*(server.answer_next(message) for message in messages))
            heard = [await hers.next(), await theirs.next()]
            await fading(server.agents)
            alive = [agent() for agent in server.agents if agent() is not None]
    finally:
        gc.enable()

    assert heard == [ToolUsed("letters_clock", ToolState.STARTED)] * 2
    assert alive == []
