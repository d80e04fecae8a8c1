"""A waiting request is cheap: it ends with its connection, does not poll the database, and is limited per person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import pytest

from app.messages import StoredMessage
from app.principal import Principal
from tests.fakes.environment import Environment, open_environment, with_http
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, eventually

MOST = 3


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[Environment]:
    """Yield an environment in which a request waits for up to a minute."""
    async with open_environment(tmp_path) as environment:
        interfaces = with_http(environment.settings, wait_seconds=60, waits_per_person=MOST)
        environment.settings = environment.settings.model_copy(update={"interfaces": interfaces})
        yield environment


@pytest.fixture
def model() -> ScriptedModel:
    """Return a model that answers only after its gate is opened."""
    return ScriptedModel()


@pytest.fixture
async def server(environment: Environment, model: ScriptedModel) -> AsyncIterator[Server]:
    """Yield a server on a socket, and open the model's gate at the end."""
    async with environment.server(model.install) as server:
        yield server
        model.gate.set()


async def waiting(server: Server, count: int) -> None:
    """Return once this number of requests is waiting."""
    await eventually(lambda: server.container.waiters().count == count)


async def posting(
    server: Server, person: Principal, number: int = 0, headers: Mapping[str, str] = {}
) -> asyncio.Task[httpx2.Response]:
    """Post a message that the model does not answer yet, and return the pending request."""
    body = {"conversation": f"c{number}", "text": "wait hello"}
    headers = {**await server.bearer(person), **headers}
    return asyncio.create_task(server.client.post("/v1/messages", json=body, headers=headers))


async def getting(server: Server, person: Principal, message_id: str) -> asyncio.Task[httpx2.Response]:
    """Return a pending request that waits for that message."""
    return asyncio.create_task(
        server.client.get(f"/v1/messages/{message_id}", params={"wait": 60}, headers=await server.bearer(person))
    )


async def hang_up(*requests: asyncio.Task[httpx2.Response]) -> None:
    """Close the connections of these requests."""
    for request in requests:
        request.cancel()
    await asyncio.wait(requests)


EVENTS = {"Accept": "text/event-stream"}


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["post", "stream"])
async def test_a_wait_ends_with_its_connection(
    server: Server, ada: Principal, grace: Principal, headers: dict[str, str]
) -> None:
    """A wait ends when its client disconnects, and another person's wait continues."""
    mine = await posting(server, ada, headers=headers)
    await waiting(server, 1)
    (message_id,) = server.container.waiters()._waiting
    theirs = await posting(server, grace, headers=headers)
    also_mine = await getting(server, ada, message_id)
    await waiting(server, 3)

    await hang_up(mine, also_mine)
    await waiting(server, 1)

    assert not theirs.done()
    await hang_up(theirs)
    await waiting(server, 0)


async def test_a_wait_asks_the_database_for_nothing(
    server: Server, ada: Principal, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message is read when a wait begins and when it changes, no matter how often the server checks for changes."""
    inbox = server.container.inbox()
    get, reads = inbox.get, asyncio.Queue[str]()

    async def noted(principal: Principal, message_id: str) -> StoredMessage:
        reads.put_nowait(message_id)
        return await get(principal, message_id)

    monkeypatch.setattr(inbox, "get", noted)
    requests = [await posting(server, ada, number) for number in range(MOST)]
    await eventually(lambda: len(model.begun) == MOST)
    for _ in range(30):  # each check for other processes' changes is one query for all waiting requests
        await server.container.waiters().look()
    read = reads.qsize()
    model.gate.set()

    assert {(await request).json()["answer"] for request in requests} == {"waited hello"}
    assert read <= 3 * MOST  # when it is new, when its run begins, and once more if both ways notice that


async def test_a_person_waits_so_often_at_once(server: Server, ada: Principal, grace: Principal) -> None:
    """Over the limit a GET or a stream is refused, and a POST is stored and answered without waiting."""
    mine = [await posting(server, ada, number) for number in range(MOST)]
    await waiting(server, MOST)
    stored = await (await posting(server, ada, 8))
    streamed = await (await posting(server, ada, 9, EVENTS))
    got = await (await getting(server, ada, stored.json()["message"]))
    theirs = await posting(server, grace)
    await waiting(server, MOST + 1)

    assert (stored.status_code, set(stored.json())) == (202, {"message", "state"})
    for refused in (streamed, got):
        assert refused.status_code == 429
        assert refused.json()["detail"] == "3 of your requests are already waiting; let one of them finish first"
        assert "retry-after" in refused.headers
    await hang_up(*mine, theirs)
    await waiting(server, 0)
    again = await posting(server, ada, 10)
    await waiting(server, 1)
    await hang_up(again)
