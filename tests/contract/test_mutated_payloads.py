"""Undocumented payloads cause no server error, and do not make Deputy lose a valid message sent with them.

Each channel gets twenty, and a hundred as a system test; ``DEPUTY_MUTATIONS=10000`` changes the hundred to that number.
They are the same in every run. Slack has three routes and a test of its own, integration/test_slack_mutations.py.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
import sqlalchemy as sa

from app.database.tables import messages
from app.principal import Principal
from app.sandbox.telegram.chats import BotMessage
from app.sandbox.whatsapp.people import PairRates, WhatsAppPerson
from app.sections.delivery import DeliverySettings
from tests.fakes.environment import open_environment, with_http, with_telegram
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server

hypothesis: Any = pytest.importorskip("hypothesis", reason="the package hypothesis is not installed")
strategies = hypothesis.strategies

FEW, MANY = 20, int(os.environ.get("DEPUTY_MUTATIONS", "100"))
ODD = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats(allow_nan=False)
    | strategies.text(max_size=8)
    | strategies.sampled_from(["", "\x00", "\ud800", "wamid.X", "text", "system", "447700900001", "x" * 50_000]),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=8), inner),
    max_leaves=5,
)
# A full backlog would ask the platform to send again later, which nobody does here.
NO_LIMITS = DeliverySettings(backlog=1_000_000, person_backlog=1_000_000)
Payload = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A channel to send mutated payloads to.

    Attributes:
        kinds: Valid payloads of every kind.
        post: Sends a payload with the proof that it needs.
        valid: Returns another person's valid payload with the given words, which is sent with or after a mutated one.
        beside: Puts a valid payload into the same request as a mutated one; None if a request carries only one.
        taken: Whether every payload must be acknowledged, because the platform would keep sending a refused one.
    """

    kinds: list[Payload]
    post: Callable[[Any], Coroutine[Any, Any, httpx2.Response]]
    valid: Callable[[str], Payload]
    beside: Callable[[Any, Payload], Any] | None = None
    taken: bool = True


def http(server: Server) -> Target:
    """HTTP: a message, one whose answer is streamed, a stop, a status and a list."""
    ada, grace = (Principal("http", "demo", name) for name in ("ada", "grace"))
    routes = {
        "post": ("POST", "/v1/messages", {}),
        "stream": ("POST", "/v1/messages", {"Accept": "text/event-stream"}),
        "stop": ("POST", "/v1/messages/{id}/stop", {}),
        "get": ("GET", "/v1/messages/{id}", {}),
        "list": ("GET", "/v1/messages", {}),
    }
    body = {"id": "x1", "conversation": "main", "text": "repeat x"}
    query = {"wait": "0", "conversation": "main", "limit": "3"}
    kinds = [{"route": route, "id": "0" * 32, "query": query, "body": body} for route in routes]

    async def post(payload: Payload) -> httpx2.Response:
        route = payload.get("route")
        method, path, headers = routes[route if isinstance(route, str) and route in routes else "post"]
        message_id = quote(str(payload.get("id")), safe="", errors="surrogatepass")
        query = payload.get("query")
        pairs = {str(key): str(value) for key, value in query.items()} if isinstance(query, dict) else {}
        url = f"{path.format(id=message_id[:1000])}?{urlencode(pairs, errors='surrogatepass')[:5000]}"
        bearer = await server.bearer(payload.get("principal") or ada)
        return await server.client.request(
            method,
            url,
            content=json.dumps(payload.get("body")).encode() if method == "POST" else None,
            headers={"Content-Type": "application/json", **headers, **bearer},
        )

    def valid(words: str) -> Payload:
        return {"route": "post", "body": {"conversation": "main", "text": words}, "principal": grace}

    return Target(kinds, post, valid, taken=False)


def telegram(server: Server) -> Target:
    """Telegram: messages in words, with files, forwarded, in a group; edits, presses and stops."""
    people, group = server.telegram.people, -1900
    question = BotMessage(5, 901, None, "x", keyboard=[[{"text": "Approve", "callback_data": "approve 3f2a"}]])
    kinds = [
        people.write(901, "repeat hello"),
        people.write(901, f"@{people.bot['username']} repeat hello", chat=group, thread=3),
        people.write(901, None, photo=[{"file_id": "p", "file_size": 5}], caption="look"),
        people.write(901, None, voice={"file_id": "v", "duration": 3}),
        people.write(901, "x", forward_origin={"type": "user", "sender_user": {"id": 902, "first_name": "Grace"}}),
        people.write(901, "hello", chat=group, sender_chat={"id": group, "type": "supergroup", "title": "G"}),
        people.press(901, question, "Approve"),
        people.update("edited_message", people.write(901, "repeat edited")["message"]),
        *people.upgrade(901, group - 1, -1_000_000_001_900),
        people.update("stopped_message_generation", {"chat": people.chat(901, None), "draft_id": 3}),
    ]
    return Target(kinds, lambda update: people.post(server.client, update), lambda words: people.write(902, words))


def whatsapp(server: Server) -> Target:
    """WhatsApp: every type of message and status, each in a batch of its own."""
    sandbox, person = server.whatsapp, WhatsAppPerson("Ada", "447700900001", "GB.fuzz")
    other = WhatsAppPerson("Grace", "447700900002", "GB.grace")
    contents: list[tuple[str, Any]] = [
        ("text", {"body": "repeat x"}),
        ("image", {"id": "1", "mime_type": "image/png", "caption": "c"}),
        ("audio", {"id": "1", "voice": True}),
        ("document", {"id": "1", "filename": "a.pdf"}),
        ("interactive", {"type": "button_reply", "button_reply": {"id": "help", "title": "Help"}}),
        ("location", {"latitude": 1.5, "longitude": 2, "name": "n"}),
        ("contacts", [{"name": {"formatted_name": "Bob"}}]),
        ("system", {"type": "user_changed_number", "wa_id": "447700900009"}),
        ("reaction", {"emoji": "x"}),
    ]
    said = [sandbox.message(person, kind, dict(content)) for kind, content in contents if kind != "contacts"]
    said.append(sandbox.message(person, "contacts") | {"contacts": contents[6][1]})
    said.append(sandbox.message(person, body="hello", group_id="G1", forwarded=True))
    kinds = [sandbox.batch(([person], [message])) for message in said]
    kinds.append(sandbox.status("0" * 32 + ":0", "failed", code=131047))

    def beside(mutated: Any, valid: Payload) -> Any:
        entries = mutated.get("entry") if isinstance(mutated, dict) else None
        return {**mutated, "entry": [*entries, *valid["entry"]]} if isinstance(entries, list) else valid

    return Target(
        kinds,
        lambda payload: sandbox.post(server.client, "/whatsapp/webhook", payload),
        lambda words: sandbox.batch(([other], [sandbox.message(other, body=words)])),
        beside,
    )


TARGETS = {"http": http, "telegram": telegram, "whatsapp": whatsapp}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of a JSON value, except its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(data: Any, kinds: list[Payload]) -> Any:
    """Return a valid payload in which up to three parts are left out, doubled or replaced by an odd value."""
    payload = copy.deepcopy(data.draw(strategies.sampled_from(kinds)))
    for _ in range(data.draw(strategies.integers(1, 3))):
        found = list(places(payload))
        if not found:
            break
        *way, last = data.draw(strategies.sampled_from(found))
        holder = payload
        for key in way:
            holder = holder[key]
        match data.draw(strategies.sampled_from(["replace", "leave out", "double"])):
            case "replace":
                holder[last] = data.draw(ODD)
            case "leave out":
                del holder[last]
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
    return payload


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.system)])
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_payload_is_a_fault_of_ours(tmp_path: Path, name: str, examples: int) -> None:
    """Each mutated payload gets a status below 500, and the valid message sent with it or after it is stored."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        server = runner.run(stack.enter_async_context(_serving(tmp_path, name)))
        target, valid = TARGETS[name](server), list[str]()

        @hypothesis.settings(  # type: ignore[untyped-decorator, unused-ignore]
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategies.data())  # type: ignore[untyped-decorator, unused-ignore]
        def send(data: Any) -> None:
            payload = mutated(data, target.kinds)
            words = f"repeat {len(valid)}"
            valid.append(words)
            if target.beside is not None:
                together = target.beside(payload, target.valid(words))
                _check(target, runner.run(target.post(together)), together)
                return
            _check(target, runner.run(target.post(payload)), payload)
            assert runner.run(target.post(target.valid(words))).is_success

        try:
            send()
            stored = runner.run(_texts(server))
        finally:
            runner.run(stack.aclose())

    assert len(valid) >= examples
    assert [words for words in valid if words not in stored] == []


@asynccontextmanager
async def _serving(folder: Path, name: str) -> AsyncIterator[Server]:
    async with open_environment(folder, delivery=NO_LIMITS) as environment:
        interfaces = with_http(environment.settings, wait_seconds=0.001)
        if name == "telegram":
            interfaces = with_telegram(environment, interfaces)
        environment.whatsapp.rates = PairRates(burst=1_000_000)
        async with environment.in_process(ScriptedModel().install, interfaces=interfaces) as server:
            yield server


def _check(target: Target, response: httpx2.Response, payload: object) -> None:
    assert response.is_success if target.taken else response.status_code < 500, (response.status_code, payload)


async def _texts(server: Server) -> set[str]:
    async with server.container.database().reading() as connection:
        return set((await connection.execute(sa.select(messages.c.body))).scalars())
