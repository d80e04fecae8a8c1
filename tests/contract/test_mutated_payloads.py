"""Payloads that no platform documents: none leads to a fault of ours, and none makes us lose a valid message beside it.

By default a hundred for each channel; DEPUTY_PAYLOADS=10000 sends so many.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.database.tables import messages
from app.sandbox.whatsapp.people import WhatsAppPerson
from app.sections.delivery import DeliverySettings
from tests.fakes.environment import open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server

hypothesis: Any = pytest.importorskip("hypothesis", reason="the package hypothesis is not installed")
strategies = hypothesis.strategies

EXAMPLES = int(os.environ.get("DEPUTY_PAYLOADS", "100"))
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
# A worker that falls behind would have the platform send again later, which nobody does here.
NO_LIMITS = DeliverySettings(backlog=1_000_000, person_backlog=1_000_000)
Payload = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A channel to send mutated payloads to.

    Attributes:
        kinds: Valid payloads of every kind.
        post: Sends a payload, signed.
        valid: Returns a valid payload with the given words, which is sent along with, or after, a mutated one.
        beside: Puts a valid payload into the same request as a mutated one; None if a request carries one alone.
    """

    kinds: list[Payload]
    post: Callable[[object], Coroutine[Any, Any, httpx2.Response]]
    valid: Callable[[str], Payload]
    beside: Callable[[Any, Payload], Any] | None


def whatsapp(server: Server) -> Target:
    """WhatsApp: every type of message and status, each in a batch of its own."""
    sandbox, person = server.whatsapp, WhatsAppPerson("Ada", "447700900001", "GB.fuzz")
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
        lambda words: sandbox.batch(([person], [sandbox.message(person, body=words)])),
        beside,
    )


def slack(server: Server) -> Target:
    """Slack: a direct message and a mention; each request carries one event."""
    count = itertools.count()

    def event(words: str) -> Payload:
        return server.slack.event(user="U0FUZZ", text=words, channel="D0FUZZ", ts=f"1700000000.{next(count):06}")

    mention = server.slack.event(
        user="U0FUZZ", text="<@U0BOT> hi", channel="C0FUZZ", kind="app_mention", ts="1700000001.000001"
    )
    return Target([event("hi"), mention], lambda payload: server.deliver(payload), event, None)  # type: ignore[arg-type]


TARGETS = {"slack": slack, "whatsapp": whatsapp}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a JSON value, its root aside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(data: Any, kinds: list[Payload]) -> Any:
    """A valid payload in which up to three parts are left out, doubled or replaced by something odd."""
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


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_payload_is_a_fault_of_ours(tmp_path: Path, name: str) -> None:
    """Each mutated payload is answered below 500, and the valid message with or after it is stored."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        environment = runner.run(stack.enter_async_context(open_environment(tmp_path, delivery=NO_LIMITS)))
        server = runner.run(stack.enter_async_context(environment.in_process(ScriptedModel().install)))
        target, valid = TARGETS[name](server), list[str]()

        @hypothesis.settings(  # type: ignore[untyped-decorator, unused-ignore]
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategies.data())  # type: ignore[untyped-decorator, unused-ignore]
        def send(data: Any) -> None:
            payload = mutated(data, target.kinds)
            words = f"repeat {len(valid)}"
            requests = [payload, target.valid(words)]
            if target.beside is not None:
                requests = [target.beside(payload, requests[1])]
            valid.append(words)
            for request in requests:
                json.dumps(request)
                response = runner.run(target.post(request))
                assert response.status_code < 500, (response.status_code, request)

        try:
            send()
            stored = runner.run(_texts(server))
        finally:
            runner.run(stack.aclose())

    assert len(valid) >= EXAMPLES
    assert [words for words in valid if words not in stored] == []


async def _texts(server: Server) -> set[str]:
    async with server.container.database().reading() as connection:
        return set((await connection.execute(sa.select(messages.c.body))).scalars())
