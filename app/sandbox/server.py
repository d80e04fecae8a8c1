"""Serves an ASGI application on loopback, in the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers, because this server does not own the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _HangUps:
    """Takes no notice of a client that goes away in the middle of its request, as a call of a stopped run does.

    uvicorn would print a traceback into the terminal of whoever tries Deputy out.
    """

    def __init__(self, asgi_app: ASGIApp) -> None:
        self._app = asgi_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send)


@asynccontextmanager
async def serve_loopback(asgi_app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on 127.0.0.1 until the block ends; yield its base URL, ``http://127.0.0.1:41234``.

    It listens on loopback only, and refuses requests that name another host, so that a page in somebody's browser
    cannot reach the sandbox by rebinding a DNS name.

    Args:
        asgi_app: The application; its lifespan is not run.
        port: The port, or 0 for any free one.

    Raises:
        OSError: The port is taken.
    """
    guarded = TrustedHostMiddleware(asgi_app, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    with _listener(port) as listener:
        config = uvicorn.Config(
            _HangUps(guarded),
            lifespan="off",
            ws="none",
            log_config=None,  # uvicorn's would replace the handlers of the whole process
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=3600,  # like Google, do not close a connection just as a client reuses it
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="sandbox server")
        try:
            # The socket is already listening, so early connections wait in its backlog until uvicorn is ready.
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def _listener(port: int) -> socket.socket:
    # Without the protocol, asyncio leaves Nagle's algorithm on, and every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        error.filename = f"{HOST}:{port}"  # so that it says which address it is about
        raise
    return listener
