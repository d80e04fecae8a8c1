"""An ASGI application on a socket, inside the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from interfaces.connections import ConnectionLimits, Connections, guarded

_DRAIN_SECONDS = 10  # for requests in progress when the server stops


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers, which belong to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(
    app: ASGIApp, host: str, port: int, limits: ConnectionLimits = ConnectionLimits()
) -> AsyncIterator[str]:
    """Serve an application until the context ends; yields its base URL, such as ``http://127.0.0.1:8080``.

    No access log is written: the paths of consent links are secrets.

    Args:
        app: The application; its lifespan is not run.
        host: The address to listen on.
        port: The port, or 0 for any free one.
        limits: The limits for connections and for slow requests.

    Raises:
        OSError: The port is taken, or the address is not this machine's.
    """
    with _listener(host, port) as listener:
        config = uvicorn.Config(
            app,
            http=guarded(Connections(limits)),  # type: ignore[arg-type]  # called like the class
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            timeout_keep_alive=limits.idle_seconds,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        name = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{name}:{listener.getsockname()[1]}"  # an early connection waits in the backlog
        finally:
            server.should_exit = True
            await task


def _listener(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)  # without the protocol, asyncio leaves Nagle's algorithm on
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        error.filename = f"{host}:{port}"  # so that it says which address it is about
        raise
    return listener
