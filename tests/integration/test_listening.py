"""An ASGI application on a socket, inside the running event loop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from interfaces.listening import listening

CANARY = "CANARY-7f3a"


async def hello(request: Request) -> PlainTextResponse:
    """Answer any request."""
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/{path:path}", hello)])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_a_free_port_is_served_under_the_address_that_is_told(host: str) -> None:
    """Port 0 takes a free port on either protocol, and two servers at once get different ones."""
    async with listening(APP, host, 0) as one, listening(APP, host, 0) as other, httpx2.AsyncClient() as http:
        answers = [(await http.get(url)).text for url in (one, other)]

    assert answers == ["hello", "hello"]
    assert one != other


async def test_a_port_that_is_taken_is_told() -> None:
    """A second server on the same port raises an OSError."""
    async with listening(APP, "127.0.0.1", 0) as url:
        with pytest.raises(OSError, match="in use"):
            await listening(APP, "127.0.0.1", int(url.rpartition(":")[2])).__aenter__()


async def test_the_end_waits_for_requests_and_then_refuses() -> None:
    """A running request is answered before the server ends, and afterwards the port is free."""
    begun, answered = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        begun.set()
        await asyncio.sleep(0.2)
        answered.set()
        return PlainTextResponse("slowly")

    async with httpx2.AsyncClient() as http:
        async with listening(Starlette(routes=[Route("/", slow)]), "127.0.0.1", 0) as url:
            request = asyncio.create_task(http.get(url))
            await begun.wait()

        assert answered.is_set()
        assert (await request).text == "slowly"
        with pytest.raises(httpx2.ConnectError):
            await http.get(url)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(url.rpartition(":")[2])))


async def test_no_path_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Paths are neither logged nor printed, because the path of a consent link is a secret."""
    with caplog.at_level(logging.DEBUG):
        async with listening(APP, "127.0.0.1", 0) as url:
            await asyncio.to_thread(_ask, url)
    printed = capfd.readouterr()

    assert CANARY not in caplog.text + printed.out + printed.err


def _ask(url: str) -> None:
    """Send a request without a client that logs it."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"GET /{CANARY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"server:" not in answer.lower()


async def test_signals_stay_the_processs_own() -> None:
    """The server does not replace the process's signal handlers."""
    before = signal.getsignal(signal.SIGINT)
    async with listening(APP, "127.0.0.1", 0) as url, httpx2.AsyncClient() as http:
        await http.get(url)

        assert signal.getsignal(signal.SIGINT) is before
