"""Random delays before and after everything a server does, which reveal tests that pass by luck."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "DEPUTY_TEST_DELAY"  # the longest delay, in milliseconds


def longest_delay() -> float:
    """Return the longest delay in seconds; 0 unless the environment sets it."""
    return float(os.environ.get(VARIABLE, "0")) / 1000


@contextmanager
def delays(longest: float) -> Iterator[None]:
    """Delay each request before it takes effect, and each answer after it, until the block ends.

    A platform then shows a message long before the process that sent it gets the response, as on a busy machine.

    Args:
        longest: In seconds; each delay is random. With 0 nothing is changed.
    """
    with pytest.MonkeyPatch.context() as patch:
        if longest:
            load, handle = uvicorn.Config.load, httpx2.ASGITransport.handle_async_request

            def load_slow(config: uvicorn.Config) -> None:
                load(config)
                config.loaded_app = _Slow(config.loaded_app, longest)

            async def handle_slow(transport: httpx2.ASGITransport, request: httpx2.Request) -> httpx2.Response:
                await asyncio.sleep(random.uniform(0, longest))
                response = await handle(transport, request)
                await asyncio.sleep(random.uniform(0, longest))
                return response

            patch.setattr(uvicorn.Config, "load", load_slow)
            patch.setattr(httpx2.ASGITransport, "handle_async_request", handle_slow)
        yield


def delay() -> None:
    """Delay a server that runs in a thread like the others."""
    time.sleep(random.uniform(0, longest_delay()))


class _Slow:
    """An application that begins late and reports its end late. Lives as long as its server."""

    def __init__(self, app: ASGIApp, longest: float) -> None:
        self._app, self._longest = app, longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turn = asyncio.Lock()  # keeps messages to a WebSocket in order

        async def send_late(message: Message) -> None:
            async with turn:
                if message["type"] != "http.response.body":
                    await self._wait()
                await send(message)

        await self._wait()
        await self._app(scope, receive, send_late)

    async def _wait(self) -> None:
        await asyncio.sleep(random.uniform(0, self._longest))
