"""A run can be cancelled at any moment, also while a client of everybody's puts old connections away."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count

import httpx2
import pytest

from app.connections.discovery_network import DiscoveryTransport, open_discovery_client
from app.network import open_client, open_transport
from interfaces.slack.http import SlackHttp
from tests.fakes.fading import Belonging, without_the_collector

KEPT, STEPS, TURNS = 4, 20, 50
Get = Callable[[str], Awaitable[object]]


class Server:
    """Answers `KEPT` requests together, so that each has a connection of its own, and hangs up when told to."""

    def __init__(self) -> None:
        self._asking: list[Connection] = []
        self._open: set[Connection] = set()

    def connection(self) -> Connection:
        """Return what serves a new connection."""
        return Connection(self._open, self._ask)

    async def hang_up(self) -> None:
        """Close every connection."""
        self._asking.clear()
        for connection in self._open:
            connection.transport.abort()
        while self._open:
            await asyncio.sleep(0)

    def _ask(self, connection: Connection) -> None:
        self._asking.append(connection)
        if len(self._asking) == KEPT:
            for asking in self._asking:
                asking.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            self._asking.clear()


class Connection(asyncio.Protocol):
    """Tells the server of each request."""

    transport: asyncio.Transport

    def __init__(self, open_: set[Connection], ask: Callable[[Connection], None]) -> None:
        self._open, self._ask = open_, ask

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n")
        self._ask(self)


@asynccontextmanager
async def everybodys() -> AsyncIterator[Get]:
    """Yield a call by a client that everybody shares."""
    async with open_client(30.0) as client:
        yield client.get


@asynccontextmanager
async def two_peoples() -> AsyncIterator[Get]:
    """Yield a call that takes turns between two people's own clients, which share their connections."""
    transport, turns = open_transport(), count()
    ada, grace = (httpx2.AsyncClient(transport=transport) for _ in range(2))
    try:
        yield lambda url: (ada, grace)[next(turns) % 2].get(url)
    finally:
        await transport.aclose()


@asynccontextmanager
async def of_a_discovery() -> AsyncIterator[Get]:
    """Yield a call of an MCP server about its sign-in, by a client that keeps no connection."""
    async with open_discovery_client(DiscoveryTransport("http://127.0.0.1")) as client:
        yield client.get


@asynccontextmanager
async def slacks() -> AsyncIterator[Get]:
    """Yield a call of Slack's Web API, which goes over aiohttp."""
    http = SlackHttp()
    async with http.opened():
        assert http.session is not None
        yield http.session.get


async def run(get: Get, url: str, held: weakref.WeakSet[Belonging]) -> None:
    """Call the server while holding something of a person's."""
    belonging = Belonging()
    held.add(belonging)
    await get(url)
    assert belonging in held


@pytest.mark.parametrize("cancels", [1, 2])
@pytest.mark.parametrize("opened", [everybodys, two_peoples, of_a_discovery, slacks])
async def test_a_cancelled_run_leaves_neither_socket_nor_object(
    opened: Callable[[], AbstractAsyncContextManager[Get]], cancels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel a request after each number of steps, once or twice, while the connections before it have expired."""
    left_open, held = list[str](), weakref.WeakSet[Belonging]()
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: left_open.append(repr(unraisable.exc_value)))
    server = Server()
    loop = asyncio.get_running_loop()
    with without_the_collector():
        async with await loop.create_server(server.connection, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
            for steps in range(STEPS):
                async with opened() as get:
                    await asyncio.gather(*(get(url) for _ in range(KEPT)))
                    await server.hang_up()
                    task = asyncio.create_task(run(get, url, held))
                    for pause in (steps, *range(1, cancels)):
                        for _ in range(pause):
                            await asyncio.sleep(0)
                        task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                    del task
                await server.hang_up()
            for _ in range(TURNS):  # what a cancelled task has scheduled refers to it until it has run
                await asyncio.sleep(0)
            assert [*held] == []  # without the collector
    gc.collect()
    assert left_open == []
