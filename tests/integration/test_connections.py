"""Tests that half-open, excessive and endless connections do not stop other clients from being answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from interfaces import connections
from interfaces.connections import ConnectionLimits
from interfaces.listening import listening

PATIENCE_SECONDS = 120.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(request: Request) -> PlainTextResponse:
    """Answer with the length of the body."""
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])


@asynccontextmanager
async def dialled(url: str, count: int = 1) -> AsyncIterator[list[Streams]]:
    """Yield this many open connections."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    async with asyncio.timeout(PATIENCE_SECONDS):
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(count)]
        try:
            yield opened
        finally:
            for _, writer in opened:
                writer.transport.abort()


async def end_of(streams: Streams) -> bytes:
    """Return what the server sends until it closes the connection."""
    try:
        return await streams[0].read()
    except ConnectionResetError:
        return b""


async def test_many_half_open_connections_lock_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    """With ten times as many half-open connections as allowed, others are answered and the oldest are closed."""
    limits = ConnectionLimits(half_open=30, per_client=1_000, head_seconds=60)
    async with listening(APP, "127.0.0.1", 0, limits) as url, dialled(url, 300) as half_open:
        for _, writer in half_open:
            writer.write(b"GET / HTTP/1.1\r\nHost: ")
        async with httpx2.AsyncClient() as http:
            answer = await http.get(url)
        ends = await asyncio.gather(*map(end_of, half_open[:200]))

    assert answer.status_code == 200
    assert set(ends) == {b""}
    lines = [record.getMessage() for record in caplog.records if record.name == "interfaces.connections"]
    assert lines == ["30 connections without a request are open, so the oldest are closed"]


async def test_a_client_has_so_many_connections_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """A connection above a client's limit is closed; others are answered, and so is the client after closing one."""
    limits = ConnectionLimits(per_client=5)
    async with listening(APP, "127.0.0.1", 0, limits) as url, dialled(url, 5) as mine:
        async with dialled(url) as (too_many,):
            refused = await end_of(too_many)
        transport = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx2.AsyncClient(transport=transport) as other:
            answer = await other.get(url)
        mine[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        last = await end_of(mine[0])
        async with httpx2.AsyncClient() as http:
            again = await http.get(url)

    assert refused == b""
    assert (answer.status_code, again.status_code) == (200, 200)
    assert last.startswith(b"HTTP/1.1 200")
    assert "127.0.0.1 has 5 connections open, so more are refused" in caplog.text


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HTT", HEAD], ids=["nothing", "a line", "a word", "no end"])
async def test_the_headers_have_to_arrive_in_time(sent: bytes) -> None:
    """Wherever a client stops, its connection ends after the server's limit, with a 408 if a request had begun."""
    async with listening(APP, "127.0.0.1", 0, ConnectionLimits(head_seconds=0.1)) as url, dialled(url) as (slow,):
        slow[1].write(sent)
        told = await end_of(slow)

    assert status_of(told) in ({b""} if not sent else {b"", b"408"})  # no answer if no request was seen to begin


@pytest.mark.parametrize("sent", [b"", b"some"])
async def test_the_body_has_to_arrive_in_time(sent: bytes) -> None:
    """A body that does not arrive in time gets a 408, and the application that reads it learns that it is gone."""
    learned = asyncio.Event()

    async def read(request: Request) -> PlainTextResponse:
        with pytest.raises(ClientDisconnect):
            await request.body()
        learned.set()
        return PlainTextResponse("too late")

    app = Starlette(routes=[Route("/", read, methods=["POST"])])
    async with listening(app, "127.0.0.1", 0, ConnectionLimits(body_seconds=0.1)) as url, dialled(url) as (slow,):
        slow[1].write(HEAD + b"\r\n" + sent)
        told = await end_of(slow)
        await learned.wait()  # within the patience of `dialled`

    assert status_of(told) == b"408"
    assert b"too late" not in told


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    """A connection whose request was answered is closed silently after its idle time."""
    async with listening(APP, "127.0.0.1", 0, ConnectionLimits(idle_seconds=0)) as url, dialled(url) as (idle,):
        idle[1].write(HEAD + b"\r\nall of it")
        await idle[0].readuntil(b"\r\n\r\n9")

        assert await end_of(idle) == b""


def test_clients_give_up_an_idle_connection_first() -> None:
    """The idle time is longer than that of the client that people's scripts use, and of load balancers (60 seconds)."""
    expiry = httpx2.Limits().keepalive_expiry

    assert expiry is not None
    assert ConnectionLimits().idle_seconds > max(expiry, 60)


@pytest.mark.parametrize("sent", [b"\r\n", b"GET / HT"])
async def test_a_later_request_has_to_arrive_in_time(sent: bytes) -> None:
    """A later request on a connection has to arrive in time just as the first one does."""
    limits = ConnectionLimits()
    async with listening(APP, "127.0.0.1", 0, limits) as url, dialled(url) as (slow,):
        slow[1].write(HEAD + b"\r\nall of it")
        first = await slow[0].readuntil(b"\r\n\r\n9")
        object.__setattr__(limits, "head_seconds", 0.05)
        slow[1].write(sent)
        told = await end_of(slow)

    assert status_of(first) == b"200"
    assert status_of(told) == b"408"


def status_of(answer: bytes) -> bytes:
    """Return the status that an answer begins with."""
    return answer.removeprefix(b"HTTP/1.1 ")[:3]


async def test_headers_come_to_an_end() -> None:
    """Headers that exceed a length are refused with a 431."""
    async with listening(APP, "127.0.0.1", 0, ConnectionLimits(head_seconds=60)) as url, dialled(url) as (endless,):
        endless[1].write(b"GET / HTTP/1.1\r\n" + b"X-More: " + b"x" * 80_000)
        told = await end_of(endless)

    assert told.startswith(b"HTTP/1.1 431 ")
    assert b'"detail": "the headers are too long"' in told


async def test_an_answer_may_take_longer_than_its_request() -> None:
    """The limits apply to requests only: an answer may take longer, even if the client sends a line meanwhile."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        asked.set()
        await go.wait()
        return PlainTextResponse("at last")

    app = Starlette(routes=[Route("/", slow)])
    limits = ConnectionLimits()
    async with listening(app, "127.0.0.1", 0, limits) as url, dialled(url) as (patient,):
        patient[1].write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await asked.wait()
        object.__setattr__(limits, "head_seconds", 0.05)
        patient[1].write(b"\r\n")
        async with dialled(url) as (idle,):
            await end_of(idle)  # the server has closed one that began no request
        async with dialled(url) as (later,):
            await end_of(later)
        go.set()
        told = await end_of(patient)

    assert told.endswith(b"at last")


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:aaaa::1", 1, 0, 0), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        ("/run/deputy.sock", ""),
        (None, ""),
    ],
)
def test_a_client_is_an_address_or_a_network(peer: object, client: str) -> None:
    """A client is an IPv4 address or an IPv6 /64, because anybody with one IPv6 address has 2^64 of them."""

    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return peer if name == "peername" else default

    assert connections._client_of(Transport()) == client
