"""Models at endpoints with OpenAI's protocol, over real HTTP: what is sent, for whom, and what happens on a failure."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pydantic_ai
import pytest
from pydantic_ai.models import Model

from app.database.database import Database
from app.errors import SettingsError
from app.keys.ring import KeyRing
from app.llm.endpoints import build_endpoint, open_model_http
from app.messages import Attachment, AttachmentKind
from app.principal import Principal
from app.sections.agents import AgentSettings, ModelSettings
from app.sections.delivery import DeliverySettings
from tests.fakes.chat_server import ChatServer, chat_server
from tests.fakes.core_server import CoreServer, inbound
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, GRACE, Server

KEY = "sk-canary-0123456789"
UNREACHABLE = ModelSettings(base_url="http://127.0.0.1:9/v1", model="nobody")


@pytest.fixture
async def local() -> AsyncIterator[ChatServer]:
    """Yield a model that requires a key."""
    async with chat_server(KEY) as server:
        yield server


@pytest.fixture
async def spare() -> AsyncIterator[ChatServer]:
    """Yield another model, which requires no key."""
    async with chat_server() as server:
        yield server


@asynccontextmanager
async def deputy(folder: Path, *chain: str, **models: ModelSettings) -> AsyncIterator[Server]:
    """Yield a server whose assistant uses these models, and which reports a fault at once instead of retrying."""
    async with open_environment(folder) as environment:
        agents = {"assistant": AgentSettings(model=chain, toolkits=("gmail",))}
        environment.settings = environment.settings.model_copy(update={"models": models, "agents": agents})
        async with environment.server(delivery=DeliverySettings(tries=1)) as server:
            yield server


@asynccontextmanager
async def endpoint(settings: ModelSettings) -> AsyncIterator[Model]:
    """Yield the model alone."""
    async with open_model_http() as http:
        yield build_endpoint(
            "local", base_url=settings.base_url, model=settings.model, api_key=settings.api_key, http=http
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_and_usage_travel(local: ChatServer, stream: bool) -> None:
    """A tool is offered without `strict` and called, its result is sent back, and all tokens are counted."""
    async with endpoint(local.settings) as model:
        agent = pydantic_ai.Agent(model)

        @agent.tool_plain
        def weather(city: str) -> str:
            return f"rain in {city}"

        async with AsyncExitStack() as stack:
            prompt = 'use weather {"city": "Oslo"}'
            if stream:
                events = await stack.enter_async_context(agent.run_stream_events(prompt))
                result = [event async for event in events][-1].result  # type: ignore[union-attr]
            else:
                result = await agent.run(prompt)

    assert result.output.strip() == "it returned rain in Oslo"
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.requests) == (14, 6, 2)
    assert "strict" not in json.dumps(local.asked[0].body["tools"])
    assert local.asked[0].body["model"] == "llama-test"
    assert bool(local.asked[0].body.get("stream")) is stream


async def test_two_people_share_a_model_and_nothing_else(
    local: ChatServer, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Two people who use one model at once share no text in any request, and no cookie of the model's server."""
    async with deputy(tmp_path, "local", local=local.settings) as server:
        await server.connect(ada, ADA)
        await server.connect(grace, GRACE)
        told = await asyncio.gather(
            *(
                server.ask(person, f"{text} {person.user}word", conversation=f"c{turn}")
                for turn in range(4)
                for person in (ada, grace)
                for text in ("remember", "use gmail_unread {} ")
            )
        )
        models = {id(server.container.models("local")) for _ in range(2)}

    assert {answer.json()["state"] for answer in told} == {"done"}
    assert len(models) == 1
    mine = {"adaword", ADA}, {"graceword", GRACE}
    seen = [{word for words in mine for word in words if word in json.dumps(asked.body)} for asked in local.asked]
    assert all(words <= mine[0] or words <= mine[1] for words in seen)
    assert all(any(words & one for words in seen) for one in mine)
    assert not any("cookie" in asked.headers for asked in local.asked)


@pytest.mark.parametrize("status", [200, 401, 503])
async def test_the_key_goes_out_as_a_bearer_token_and_nowhere_else(
    local: ChatServer, tmp_path: Path, ada: Principal, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is sent only as a bearer token, and appears in no log, repr, answer or other part of a request."""
    caplog.set_level(logging.DEBUG)
    async with deputy(tmp_path, "local", local=local.settings) as server:
        local.faults.extend([status] * 5 if status != 200 else [])
        answer = await server.ask(ada, "a private word")
        container = server.container
        model, shell = container.models("local"), container.shells("assistant")
        shown = [repr(part) for part in (container, server.settings, model, model.provider, shell)]
        shown += [repr(provider) for provider in container.models.providers.values()]

    asked = local.asked[0]
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert [name for name, value in asked.headers.items() if KEY in value] == ["authorization"]
    assert KEY not in json.dumps(asked.body)
    assert KEY not in answer.text + caplog.text + "".join(shown)
    assert not any("private word" in record.getMessage() for record in caplog.records if record.name.startswith("app"))


@pytest.mark.parametrize("reads", [(), ("images",)])
async def test_an_image_goes_to_an_endpoint_that_reads_images(
    spare: ChatServer, database: Database, key_ring: KeyRing, ada: Principal, reads: tuple[str, ...]
) -> None:
    """An image is sent only to a model that the settings say reads images; another gets the file's name."""
    async with open_model_http() as http:
        at = spare.settings
        model = build_endpoint("spare", base_url=at.base_url, model=at.model, api_key=None, http=http, reads=reads)
        server = CoreServer(database, key_ring, model=model)
        server.channel.files["photo"] = b"\x89PNG\r\n\x1a\n"
        photo = Attachment(AttachmentKind.IMAGE, "harbour.png", "image/png", None, "photo")
        await server.answer_next(await server.intake.accept(inbound(ada, "look", attachments=(photo,))))

    content = spare.asked[0].body["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "text", *(["image_url"] if reads else [])]
    assert "harbour.png" in content[1]["text"]
    assert ("You cannot open it" in content[1]["text"]) is not bool(reads)


async def test_an_endpoint_without_a_key_is_given_none_of_the_environment(
    spare: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The OPENAI_API_KEY of the environment is not sent to an endpoint without a key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with endpoint(spare.settings) as model:
        await pydantic_ai.Agent(model).run("hello")

    assert KEY not in str(spare.asked)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_the_next_model_answers_when_one_fails(
    local: ChatServer, spare: ChatServer, tmp_path: Path, ada: Principal, status: int
) -> None:
    """If a model fails, the next one is asked at once despite a Retry-After, and the first is asked again next time."""
    async with deputy(tmp_path, "local", "spare", local=local.settings, spare=spare.settings) as server:
        local.faults.append(status)
        local.retry_after = 30
        one = await server.ask(ada, "one")
        other = await server.ask(ada, "two")

    assert (one.json()["answer"].strip(), other.json()["answer"].strip()) == ("you said one", "you said two")
    assert [asked.prompt for asked in local.asked] == ["one", "two"]
    assert [asked.prompt for asked in spare.asked] == ["one"]
    assert KEY not in str(spare.asked)


async def test_the_next_model_answers_when_one_cannot_be_reached(
    spare: ChatServer, tmp_path: Path, ada: Principal
) -> None:
    """If a model cannot be reached, the next one answers."""
    async with deputy(tmp_path, "gone", "spare", gone=UNREACHABLE, spare=spare.settings) as server:
        answer = await server.ask(ada, "hello")

    assert answer.json()["answer"].strip() == "you said hello"


async def test_a_refusal_is_no_failure(local: ChatServer, spare: ChatServer, tmp_path: Path, ada: Principal) -> None:
    """If a model refuses its key, the answer says so and the next model is not asked."""
    async with deputy(tmp_path, "local", "spare", local=local.settings, spare=spare.settings) as server:
        local.faults.append(401)
        answer = await server.ask(ada, "hello")

    assert answer.json()["state"] == "failed"
    assert "only your administrator can fix it" in answer.json()["answer"].lower()
    assert spare.asked == []


async def test_the_person_is_told_when_all_models_fail(spare: ChatServer, tmp_path: Path, ada: Principal) -> None:
    """If all models fail, the message fails with an explanation, and the next message is answered."""
    async with deputy(tmp_path, "gone", "spare", gone=UNREACHABLE, spare=spare.settings) as server:
        spare.faults.append(503)
        failed, answered = await server.ask(ada, "one"), await server.ask(ada, "two")

    assert "I cannot reach my model provider" in failed.json()["answer"]
    assert answered.json()["answer"].strip() == "you said two"


async def test_connections_end_with_the_server(local: ChatServer, tmp_path: Path) -> None:
    """The HTTP client of the endpoints is open while the server runs, and is closed with it."""
    async with deputy(tmp_path, "local", local=local.settings) as server:
        http: httpx2.AsyncClient = server.container.model_http()
        was_closed = http.is_closed

    assert (was_closed, http.is_closed) == (False, True)


async def test_a_model_that_cannot_be_set_up_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that cannot be set up stops the start with the place in the settings and the missing variable."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    with pytest.raises(SettingsError, match=r"^agents\.assistant\.model: .*OPENAI_API_KEY"):
        async with deputy(tmp_path, "openai:gpt-5"):
            pass
