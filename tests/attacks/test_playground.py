"""Attacks on the playground, where one visitor writes as two people: only this machine's browser may use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from fastapi import Request

from app.delivery.store.transcript import Transcript
from app.sections.google import GoogleSettings, SandboxSettings
from app.sections.section import Section
from app.sections.server import ServerSettings
from app.settings import Settings
from containers.build import build
from interfaces.playground.interface import Playground
from interfaces.playground.local import is_from_our_page, is_local
from interfaces.playground.people import PLAYERS
from interfaces.web.front import FrontPage
from tests.fakes.environment import Environment, open_environment
from tests.fakes.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = re.compile(r'name="playground-key" content="([\w-]{43})"')
# Each of these headers alone makes a request look foreign: another host name, another page or another machine.
ELSEWHERE = (
    {"Host": "evil.example"},
    {"Host": "evil.example:80@127.0.0.1"},
    {"Host": "127.0.0.1.evil.example"},
    {"X-Forwarded-For": "203.0.113.7"},
    {"Forwarded": "for=203.0.113.7"},
    {"Via": "1.1 proxy"},
)
FROM_ANOTHER_PAGE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    {"Sec-Fetch-Site": "none"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"X-Playground-Key": ""},
    {"X-Playground-Key": "A" * 43},
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield the environment of a server with settings like those of `config.yaml`."""
    async with open_environment(Path(tmp_path_factory.mktemp("played"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with environment.server() as server:
        yield server


async def page_headers(server: Server) -> dict[str, str]:
    """Return the headers that the page's script sends with each request."""
    key = KEY.search((await server.client.get("/")).text)
    assert key is not None
    return {"X-Playground-Key": key[1], "Sec-Fetch-Site": "same-origin", "Origin": server.base_url}


async def written(server: Server) -> int:
    """Return the number of the players' messages."""
    transcript = Transcript(server.container.database())
    return sum(
        [len(await transcript.latest(each.principal, f"{len(each.key)}:{each.key}:x", at_most=999)) for each in PLAYERS]
    )


async def asked(client: httpx2.AsyncClient, headers: dict[str, str]) -> set[int]:
    """Make every request that the page's script makes, with these headers, and return the statuses."""
    body = {"conversation": "x", "text": "help"}
    answers = [await client.get("/playground/scopes", headers=headers)]
    for player in PLAYERS:
        below = f"/playground/{player.key}"
        answers += [
            await client.post(f"{below}/messages", json=body, headers=headers),
            await client.get(f"{below}/messages", params={"conversation": "x"}, headers=headers),
            await client.get(f"{below}/messages/{'0' * 32}", headers=headers),
            await client.post(f"{below}/messages/{'0' * 32}/stop", headers=headers),
            await client.get(f"{below}/messages/{'0' * 32}/files/0", headers=headers),
            await client.get(f"{below}/accounts", headers=headers),
        ]
    return {answer.status_code for answer in answers}


@pytest.mark.parametrize("elsewhere", [*ELSEWHERE, *FROM_ANOTHER_PAGE], ids=str)
async def test_only_the_page_itself_may_ask(server: Server, elsewhere: dict[str, str]) -> None:
    """A request that differs from the page's own in one header is refused and stores nothing; the page's own is not."""
    own, before = await page_headers(server), await written(server)
    refused = await asked(server.client, {**own, **elsewhere})
    after = await written(server)
    body = {"conversation": "x", "text": "help"}
    paths = [f"/playground/{player.key}/messages" for player in PLAYERS]
    taken = [await server.client.post(path, json=body, headers=own) for path in paths]

    assert (refused, after) == ({401}, before)
    assert all(each.is_success for each in taken)
    assert await written(server) == before + len(PLAYERS)


async def test_a_browser_that_does_not_say_where_a_request_comes_from_is_refused(server: Server) -> None:
    """A request without both headers that name its origin is refused, because any page could have sent it."""
    headers = await page_headers(server)
    del headers["Sec-Fetch-Site"], headers["Origin"]

    assert await asked(server.client, headers) == {401}


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=str)
async def test_the_page_and_its_key_are_shown_on_this_machine_only(server: Server, elsewhere: dict[str, str]) -> None:
    """Under another name of this machine, or through a proxy, the front page is shown instead of the playground."""
    shown = await server.client.get("/", headers=elsewhere)

    assert KEY.search(shown.text) is None
    assert "This server runs an assistant" in shown.text


async def test_each_player_has_messages_of_her_own(server: Server) -> None:
    """Two players who write in conversations of the same name cannot see or stop each other's messages."""
    headers = await page_headers(server)
    ada, grace = (f"/playground/{player.key}/messages" for player in PLAYERS)
    body = {"conversation": "same", "text": "help", "id": "1"}
    hers, theirs = [(await server.client.post(path, json=body, headers=headers)).json() for path in (ada, grace)]
    lists = [
        (await server.client.get(path, params={"conversation": "same"}, headers=headers)).json()["messages"]
        for path in (ada, grace)
    ]
    crossed = [
        await server.client.get(f"{path}/{message['message']}", headers=headers)
        for path, message in ((ada, theirs), (grace, hers))
    ]
    crossed += [
        await server.client.post(f"{path}/{message['message']}/stop", headers=headers)
        for path, message in ((ada, theirs), (grace, hers))
    ]
    crossed += [
        await server.client.get(f"{path}/{message['message']}/files/0", headers=headers)
        for path, message in ((ada, theirs), (grace, hers))
    ]
    unknown = await server.client.get("/playground/mallory/accounts", headers=headers)

    assert [[each["message"] for each in listed] for listed in lists] == [[hers["message"]], [theirs["message"]]]
    assert [each.status_code for each in crossed] == [404] * 6
    assert unknown.status_code == 404


def request_from(peer: str, **headers: str) -> Request:
    """Return a request from this address."""
    pairs = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "scheme": "http", "path": "/", "client": (peer, 1), "headers": pairs})


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "169.254.1.1", ""])
async def test_another_machine_is_not_local(peer: str) -> None:
    """A request from another machine is not local, even if it names this host."""
    assert not is_local(request_from(peer, host="127.0.0.1:8080"))
    assert is_local(request_from("127.0.0.1", host="localhost:8080"))
    assert is_local(request_from("::1", host="[::1]:8080"))


async def test_another_port_is_another_origin() -> None:
    """A page of another server on this machine, at another port, counts as foreign."""
    ours = {"host": "127.0.0.1:8080"}

    assert is_from_our_page(request_from("127.0.0.1", origin="http://127.0.0.1:8080", **ours))
    assert not is_from_our_page(request_from("127.0.0.1", origin="http://127.0.0.1:8081", **ours))
    assert not is_from_our_page(request_from("127.0.0.1", origin="https://127.0.0.1:8080", **ours))
    assert not is_from_our_page(request_from("127.0.0.1", **ours))


def front_of(settings: Settings, **sections: Section) -> set[str]:
    """Return the classes that could answer at `/` of a server with these sections."""
    container = build(settings.model_copy(update=sections))
    return {type(routes).__name__ for routes in container.routes()} & {Playground.__name__, FrontPage.__name__}


async def test_the_playground_is_served_on_this_machine_in_the_sandbox_only(environment: Environment) -> None:
    """The playground is served only with the sandbox on this machine; otherwise `/` shows the front page."""
    settings, local = environment.settings, "http://127.0.0.1:8080"
    interfaces = settings.interfaces.model_copy(update={"http": None})
    google = settings.google

    assert front_of(settings) == {"Playground"}
    for sections in (
        {"google": google.model_copy(update={"sandbox": SandboxSettings(playground=False)})},
        {"google": GoogleSettings(mode="google", client_id="x.apps.googleusercontent.com", client_secret="s")},
        {"server": ServerSettings(host="0.0.0.0", public_url=local)},
        {"server": ServerSettings(public_url="https://deputy.example")},
        {"interfaces": interfaces},
    ):
        assert front_of(settings, **sections) == {"FrontPage"}
