"""Faults of a model, over real HTTP: temporary ones are retried, and for others the person learns who can fix them."""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.database.database import Database
from app.delivery.work.answering import referenced
from app.keys.ring import KeyRing
from app.llm.endpoints import build_endpoint, open_model_http
from app.llm.fallback import with_fallbacks
from app.llm.faults import ModelFault
from app.llm.offline_model import OfflineModel
from app.messages import MessageState
from app.principal import Principal
from app.sandbox.server import serve_loopback
from tests.fakes.core_server import CoreServer
from tests.fakes.fading import Belonging, fading, without_the_collector

SECRET = "sk-secret-of-the-provider"


def _said(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def _error(status: int, **error: Any) -> Response:
    return JSONResponse({"error": {"message": f"no: {SECRET}", **error}}, status, headers={"x-should-retry": "false"})


PASSING = {
    "503": (_error(503), ModelFault.DOWN),
    "429": (_error(429, type="rate_limit_error"), ModelFault.BUSY),
    "overloaded, with 200": (_error(200, type="overloaded_error"), ModelFault.DOWN),
    "rate limit, with 200": (_error(200, code=429), ModelFault.BUSY),
    "any error, with 200": (_error(200, type="strange"), ModelFault.DOWN),
    "no choice": (JSONResponse({**_said(""), "choices": []}), ModelFault.ODD),
    "no choices at all": (JSONResponse({"id": "1", "object": "chat.completion"}), ModelFault.ODD),
}
FINAL = {
    "wrong key": (_error(401, code="invalid_api_key"), ModelFault.SET_UP, "administrator"),
    "unknown model": (_error(404, code="model_not_found"), ModelFault.SET_UP, "administrator"),
    "quota": (_error(429, code="insufficient_quota"), ModelFault.QUOTA, "used up"),
    "quota, with 200": (_error(200, code="insufficient_quota"), ModelFault.QUOTA, "used up"),
    "too long": (_error(400, code="context_length_exceeded"), ModelFault.TOO_LONG, "new conversation"),
    "content filter": (_error(400, code="content_filter"), ModelFault.REFUSED, "content"),
    "content policy": (_error(400, code="content_policy_violation"), ModelFault.REFUSED, "content"),
    "content filter, with 200": (_error(200, code="content_filter"), ModelFault.REFUSED, "content"),
    "content filter of Azure": (
        _error(400, code=None, innererror={"code": "ResponsibleAIPolicyViolation"}),
        ModelFault.REFUSED,
        "content",
    ),
    "nothing but the filter's mark": (JSONResponse(_said("", "content_filter")), ModelFault.REFUSED, "content"),
    "nothing before the limit": (JSONResponse(_said("", "length")), ModelFault.CUT, "limit"),
}


class Gateway:
    """A model's endpoint that gives the answers a test has set, and then answers like a model.

    Attributes:
        url: The base URL, including /v1.
        next: The answers to the next requests.
        longest: The highest number of messages that a request may have.
    """

    def __init__(self) -> None:
        self.url = ""
        self.next: list[Response] = []
        self.longest = 1000
        self.asked = 0

    async def answer(self, request: Request) -> Response:
        """Answer POST /v1/chat/completions."""
        self.asked += 1
        if self.next:
            return self.next.pop(0)
        messages = (await request.json())["messages"]
        if len(messages) > self.longest:
            return _error(400, code="context_length_exceeded")
        return JSONResponse(_said(f"you said {messages[-1]['content']}"))


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """Yield a gateway on loopback."""
    gateway = Gateway()

    async def answer(request: Request) -> Response:
        return await gateway.answer(request)

    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    async with serve_loopback(app) as base_url:
        gateway.url = f"{base_url}/v1"
        yield gateway


@pytest.fixture
async def server(gateway: Gateway, database: Database, key_ring: KeyRing) -> AsyncIterator[CoreServer]:
    """Yield a server whose model is behind that gateway; afterwards no agent is left, without the collector."""
    async with open_model_http() as http:
        model = build_endpoint("local", base_url=gateway.url, model="m", api_key=None, http=http)
        server = CoreServer(database, key_ring, model=model)
        with without_the_collector():
            yield server
            await fading(server.agents)
    assert not any(agent() for agent in server.agents)


@pytest.mark.parametrize("name", PASSING)
async def test_what_passes_is_tried_again_later(
    gateway: Gateway, server: CoreServer, ada: Principal, grace: Principal, name: str
) -> None:
    """After a temporary fault the message waits and is answered later; another person's is answered meanwhile."""
    response, fault = PASSING[name]
    gateway.next = [response] * 3  # the library may retry on its own
    message = await server.ask(ada, "hello", "a")
    gateway.next = []
    other = await server.ask(grace, "hello", "g")
    server.clock.now += 60
    answered = await server.answer_next(message)

    assert message.state is MessageState.NEW, (message.answer, fault)
    assert message.failures == 1
    assert (other.answer, answered.answer) == ("you said hello", "you said hello")


@pytest.mark.parametrize("name", FINAL)
async def test_what_does_not_pass_is_told_apart(
    gateway: Gateway,
    server: CoreServer,
    ada: Principal,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """A permanent fault is not retried; person and log learn its cause and reference, but not the model's text."""
    response, fault, words = FINAL[name]
    gateway.next = [response]
    message = await server.ask(ada, "hello", "a")

    assert (message.state, gateway.asked) == (MessageState.FAILED, 1)
    assert words in (message.answer or "")
    assert message.answer == referenced((message.answer or "").rpartition(" (")[0], message)
    (line,) = [record.getMessage() for record in caplog.records if message.message_id in record.getMessage()]
    assert f"of {ada} failed: {fault}" in line
    assert SECRET not in (message.answer or "") + caplog.text


@pytest.mark.parametrize("name", PASSING)
async def test_what_passes_is_handed_to_the_next_model(
    gateway: Gateway, database: Database, key_ring: KeyRing, ada: Principal, name: str
) -> None:
    """After a temporary fault of one model, the next model answers at once."""
    async with open_model_http() as http:
        models = [
            build_endpoint(each, base_url=gateway.url, model=each, api_key=None, http=http) for each in ("one", "two")
        ]
        server = CoreServer(database, key_ring, model=with_fallbacks(*models))
        gateway.next = [PASSING[name][0]]
        message = await server.ask(ada, "hello", "a")

    assert (message.answer, gateway.asked) == ("you said hello", 2)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("fails", [1, 2])
async def test_a_model_that_fails_keeps_nothing(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal, fails: int, streams: bool
) -> None:
    """Whether another model answers or fails too, what the calls of two people's runs held is freed at once."""
    held = weakref.WeakSet[Belonging]()

    async def fail(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        belonging = Belonging()
        held.add(belonging)
        raise ModelHTTPError(503, "m")

    async def fail_to_stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield (await fail(messages, info)).text or ""

    failing = [FunctionModel(fail, stream_function=fail_to_stream) for _ in range(fails)]
    server = CoreServer(database, key_ring, model=with_fallbacks(*failing, *[OfflineModel()] * (2 - fails)))
    with without_the_collector():
        for person in (ada, grace):
            message = await server.say(person, "hello", person.user)
            with server.streams.listening(message) if streams else nullcontext():
                ended = await server.answer_next(message)
            assert (ended.state is MessageState.DONE) is (fails == 1)
        await fading([*map(weakref.ref, held), *server.agents])

    assert [*held] == []
    assert [agent() for agent in server.agents] == [None, None]


def _stream(*events: dict[str, Any]) -> Response:
    delta = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    begun = {**delta, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "one "}}]}
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in (begun, *events))
    return Response(body, media_type="text/event-stream")


@pytest.mark.parametrize("kind", ["overloaded_error", "strange"])
async def test_an_error_in_the_middle_of_a_stream_is_tried_again(
    gateway: Gateway, server: CoreServer, ada: Principal, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """After an error in the middle of a stream the message is retried, and the error's text is not logged."""
    message = await server.say(ada, "hello", "a")
    gateway.next = [_stream({"error": {"message": SECRET, "type": kind}})]
    with server.streams.listening(message) as listening:
        waiting = await server.answer_next(message)
    heard = await listening.next()
    server.clock.now += 60
    answered = await server.answer_next(message)

    assert (waiting.state, waiting.failures, heard is not None) == (MessageState.NEW, 1, True)
    assert answered.answer == "you said hello"
    assert SECRET not in caplog.text


async def test_a_cut_answer_says_so(gateway: Gateway, server: CoreServer, ada: Principal) -> None:
    """An answer that the model could not finish, or that is too long for a channel, says where it was cut."""
    gateway.next = [JSONResponse(_said("one two", "length")), JSONResponse(_said("x" * 1_000_000))]
    unfinished, endless = await server.ask(ada, "count"), await server.ask(ada, "go on")
    history = await server.conversations.load(ada, "c", turns_at_most=9)

    assert (unfinished.answer or "").startswith("one two\n\n[My answer was cut off here")
    assert (endless.answer or "").endswith("[I cut my answer here: it had 1000000 characters.]")
    assert len(endless.answer or "") < 41_000
    assert len(repr(history.messages)) < 60_000


async def test_a_conversation_that_has_outgrown_its_model_goes_on(
    gateway: Gateway, server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """When a conversation outgrows its model, its oldest turns are dropped, and only the next answer says so."""
    for number in range(5):
        for person in (ada, grace):
            await server.ask(person, f"turn {number}", person.user)
    gateway.longest = 8  # the instructions, the question and three turns
    first = await server.ask(ada, "turn 5", "ada")
    gateway.longest = 1000
    second = await server.ask(ada, "turn 6", "ada")
    hers = await server.conversations.load(grace, "grace", turns_at_most=9)

    assert (first.answer or "").startswith("you said turn 5\n\nThis conversation has become too long for me")
    assert second.answer == "you said turn 6"
    assert len(hers.sequences) == 5
    assert len((await server.conversations.load(ada, "ada", turns_at_most=9)).sequences) < 6


async def test_new_conversation_starts_afresh(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """`new conversation` erases what its sender and the assistant said there, and nothing else."""
    for person, conversation in ((ada, "group"), (grace, "group"), (ada, "other")):
        await server.ask(person, "remember this", conversation)
    told = await server.ask(ada, "`New conversation`", "group")
    left = [
        len((await server.conversations.load(person, conversation, turns_at_most=9)).sequences)
        for person, conversation in ((ada, "group"), (grace, "group"), (ada, "other"))
    ]

    assert "forgotten" in (told.answer or "")
    assert left == [0, 1, 1]
