"""Serving on loopback."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.sandbox.server import serve_loopback


async def hello(request: Request) -> Response:
    """Greet."""
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


async def test_it_serves_on_a_free_port_until_the_block_ends() -> None:
    """The base URL answers inside the block, and nothing listens there after it."""
    async with serve_loopback(APP) as base_url, httpx2.AsyncClient() as http:
        inside = await http.get(base_url)
    async with httpx2.AsyncClient() as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get(base_url)

    assert base_url.startswith("http://127.0.0.1:")
    assert inside.text == "hello"


async def test_it_takes_the_port_that_is_asked_for_or_fails() -> None:
    """The requested port is used, and a taken one raises an error at once."""
    async with serve_loopback(APP) as base_url:
        port = int(base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with serve_loopback(APP, port):
                pass

    async with serve_loopback(APP, port) as again:
        assert again == base_url


async def test_it_listens_on_loopback_alone() -> None:
    """The port is closed on another address of this machine."""
    async with serve_loopback(APP) as base_url:
        port = int(base_url.rpartition(":")[2])
        with pytest.raises(OSError, match=r"refused|unreachable"), socket.create_connection(("127.0.0.2", port), 1):
            pass


async def test_a_foreign_host_name_is_refused() -> None:
    """A foreign Host header is refused, against DNS rebinding; localhost and 127.0.0.1 are accepted."""
    async with serve_loopback(APP) as base_url, httpx2.AsyncClient() as http:
        statuses = [
            (await http.get(base_url, headers={"Host": host})).status_code
            for host in ("evil.example", "localhost:1234", "127.0.0.1")
        ]

    assert statuses == [400, 200, 200]


async def test_the_process_keeps_its_signal_handlers() -> None:
    """The server does not replace the process's signal handlers."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with serve_loopback(APP) as base_url, httpx2.AsyncClient() as http:
        await http.get(base_url)
        during = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    assert during == before


@pytest.mark.parametrize("sent", [b"", b"a part"], ids=["before the body", "in the body"])
async def test_a_client_that_goes_away_leaves_no_traceback(capfd: pytest.CaptureFixture[str], sent: bytes) -> None:
    """A run that is stopped in the middle of a call prints nothing, and the next client is answered."""
    ended = asyncio.Event()

    async def read(request: Request) -> Response:
        try:
            await request.body()
            return PlainTextResponse("read")
        finally:
            ended.set()

    app = Starlette(routes=[Route("/", read, methods=["POST"])])
    async with serve_loopback(app) as base_url, httpx2.AsyncClient(base_url=base_url) as http:
        host, _, port = base_url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n" + sent)
        await writer.drain()
        writer.close()
        await ended.wait()
        answered = await http.post("/", content=b"the whole")

    assert answered.text == "read"
    assert capfd.readouterr() == ("", "")
