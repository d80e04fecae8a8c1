"""The playground's scope view: what it shows of two people's requests, what it hides, and when it is inactive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from containers.scope_view import ScopeView
from containers.scopes import Scope
from interfaces.playground.feed import MAX_PENDING, Feed
from interfaces.playground.people import PLAYERS
from tests.attacks.test_playground import page_headers
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, GRACE, QUESTION, Server, eventually, own_markers

pytestmark = pytest.mark.asyncio(loop_scope="module")

Told = list[dict[str, Any]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server on a socket whose two players have connected their accounts."""
    async with (
        open_environment(Path(tmp_path_factory.mktemp("viewed"))) as environment,
        environment.server() as server,
    ):
        for player, email in zip(PLAYERS, (ADA, GRACE), strict=True):
            await server.connect(player.principal, email)
        yield server


@asynccontextmanager
async def viewing(server: Server) -> AsyncIterator[Told]:
    """Yield the list of events that the page receives meanwhile, each with its ``kind``."""
    told: Told = []
    watching = asyncio.Event()

    async def read() -> None:
        kind = ""
        async with server.client.stream("GET", "/playground/scopes", headers=await page_headers(server)) as response:
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    told.append({"kind": kind, **json.loads(value)})
                    watching.set()

    reading = asyncio.create_task(read())
    try:
        await watching.wait()
        yield told
    finally:
        reading.cancel()
        await asyncio.wait([reading])


def events(told: Told, kind: str, who: str) -> Told:
    """Return the events of this kind about one player."""
    return [each for each in told if each["kind"] == kind and each.get("who") == who]


async def test_two_scopes_at_once_share_nothing_that_is_a_persons(server: Server) -> None:
    """Simultaneous scopes have their own objects and credentials, share only singletons, and are freed at the end."""
    async with viewing(server) as told:
        await asyncio.gather(*(server.ask(player.principal, QUESTION) for player in PLAYERS))
        await eventually(lambda: all(events(told, "freed", player.key) for player in PLAYERS))
    ada, grace = (player.key for player in PLAYERS)
    fresh, shared = (
        [{each["name"]: each["number"] for each in events(told, "built", who)[0][kind]} for who in (ada, grace)]
        for kind in ("fresh", "shared")
    )
    grants = [await server.container.grants().find(player.principal) for player in PLAYERS]

    assert fresh[0].keys() == fresh[1].keys() >= {"credentials", "google", "toolkits.gmail", "agents.assistant"}
    assert not set(fresh[0].values()) & set(fresh[1].values())
    assert shared[0] == shared[1]
    assert shared[0].keys() >= {"google_apis", "audit", "tokens", "pool"}
    for who, grant in zip((ada, grace), grants, strict=True):
        assert grant is not None
        calls = events(told, "called", who)
        (opened,), (closed,) = events(told, "opened", who), events(told, "closed", who)
        assert {call["credential"] for call in calls} == {grant.grant_id[:8]}
        assert {call["message"] for call in calls} == {opened["message"]}
        assert (closed["dead"], closed["total"]) == (len(fresh[0]), len(fresh[0]))
        order = [each["kind"] for each in told if each.get("who") == who]
        assert order == ["opened", "built", *["called"] * len(calls), "closed", "freed"]


async def test_the_view_holds_no_content_and_no_secret(server: Server) -> None:
    """Nothing of a mail, a question or a token reaches the page."""
    async with viewing(server) as told:
        await asyncio.gather(*(server.ask(player.principal, QUESTION) for player in PLAYERS))
        await eventually(lambda: all(events(told, "freed", player.key) for player in PLAYERS))
    text = json.dumps(told).lower()
    grants = [await server.container.grants().find(player.principal) for player in PLAYERS]
    tokens = [grant.access_token for grant in grants if grant]

    assert len(tokens) == 2
    assert "called" in text
    for secret in (
        *tokens,
        QUESTION,
        "sandbox.example",
        *set().union(*own_markers(server.google, (ADA, GRACE)).values()),
    ):
        assert secret.lower() not in text


async def test_only_the_players_are_shown(server: Server) -> None:
    """Scopes of people other than the players are not shown."""
    other = PLAYERS[0].principal.__class__("http", "acme", "ada")
    async with viewing(server) as told:
        await server.ask(other, "help")
        await server.ask(PLAYERS[0].principal, "help")
        await eventually(lambda: events(told, "freed", PLAYERS[0].key))

    assert len([each for each in told if each["kind"] == "opened"]) == 1


async def test_without_a_page_a_scope_is_an_ordinary_one(server: Server) -> None:
    """If no page is open, scopes are not observed."""
    view: ScopeView = server.container.playground.providers["view"]()
    feed = server.container.feed()

    await eventually(lambda: not feed.is_watched)
    assert type(view.open(PLAYERS[0].principal)) is Scope
    with feed.viewing():
        assert type(view.open(PLAYERS[0].principal)) is not Scope


async def test_a_page_that_does_not_read_is_cut_off() -> None:
    """A page that does not read its events is cut off, and one that opens while the server stops gets none."""
    feed = Feed()
    with feed.viewing() as viewing:
        for number in range(MAX_PENDING + 5):
            feed.tell("opened", scope=number)
        await asyncio.sleep(0)
        seen = [await viewing.next() for _ in range(MAX_PENDING + 1)]
    feed.end()
    with feed.viewing() as late:
        assert await late.next() is None

    assert seen[-2] is not None
    assert seen[-2].data == {"scope": MAX_PENDING - 1}
    assert seen[-1] is None
    assert not feed.is_watched
