"""How a server is reached: as a program of this machine, or over HTTP."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from traceback import clear_frames

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client import IncomingMessage, Transport
from mcp.client._transport import TransportStreams
from mcp.client.session import MessageHandlerFnT
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import Implementation, PaginatedRequestParams, ToolListChangedNotification
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from app.errors import DeputyError, SettingsError
from app.mcp.catalogue import MAX_TOOLS
from app.mcp.definition import Definition
from app.mcp.open_questions import OpenQuestions
from app.mcp.server import McpServer
from app.network import open_client

_CLIENT = Implementation(name="deputy", version="1")
_PAGES = 20  # of a list of tools


class WantsSignInError(SettingsError):
    """A server that was declared to know nobody wants to know who calls."""


@asynccontextmanager
async def connected(
    server: McpServer, on_end: Callable[[], None], on_change: Callable[[], None]
) -> AsyncIterator[Client]:
    """Connect to a server that is nobody's, and yield its client until the context ends, in one task.

    Args:
        server: The server.
        on_end: Called once the server has ended the connection.
        on_change: Called when the server says that its tools have changed.

    Raises:
        WantsSignInError: It answers that it wants a token.
        OSError: The program cannot be started.
        Exception: The SDK's errors, in groups, if it cannot be reached or does not speak the protocol.
    """

    async def hear(message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            on_change()

    if server.command is not None:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: ASYNC230  # its log may quote what people asked
            parameters = StdioServerParameters(command=server.command, args=[*server.args], env={**server.env})
            async with _client(_watched(stdio_client(parameters, nowhere), on_end), server, hear) as client:
                yield client
        return
    assert server.url is not None
    refused = False

    async def look(response: httpx2.Response) -> None:
        nonlocal refused
        refused = refused or response.status_code == 401

    seconds = httpx2.Timeout(server.connect_seconds, read=server.call_seconds + server.connect_seconds)
    async with open_client(seconds, response_hooks=[look]) as http:
        http.headers.update(server.headers)
        try:
            async with connected_over(server, http, hear) as client:
                yield client
        except Exception as error:
            if refused:
                raise WantsSignInError(
                    f"mcp.{server.name}: the server answers 401, so it wants to know who calls. If it knows people, "
                    "write `oauth: discover` instead of `identity: none`, or `connection:` with the name of a "
                    "connection, and each person signs in for themselves. If it only wants a key of your "
                    "organisation, write it under `headers`"
                ) from error
            raise


@asynccontextmanager
async def connected_over(
    server: McpServer, http: httpx2.AsyncClient, hear: MessageHandlerFnT | None = None, protocol: str | None = None
) -> AsyncIterator[Client]:
    """Connect to a server with an HTTP client, and yield the MCP client until the context ends, in one task.

    Args:
        server: The server, which has a `url`.
        http: Sends the requests, and is left open.
        hear: Awaited with each message that is no answer.
        protocol: The version that the server is known to speak, so that it is not asked first.
    """
    assert server.url is not None
    async with _client(streamable_http_client(server.url, http_client=http), server, hear, protocol) as client:
        yield client


def cause_of(error: BaseException) -> BaseException:
    """Return the error that matters of the group in which the SDK's tasks wrap it; Deputy's own goes first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [cause_of(each) for each in error.exceptions]
    return next((each for each in causes if isinstance(each, DeputyError)), causes[0])


async def status_without_token(server: McpServer) -> int:
    """Return the HTTP status with which a server answers a call that carries no token.

    Raises:
        httpx2.HTTPError: It gives no answer.
    """
    assert server.url is not None
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": LATEST_MODERN_VERSION}
    async with (
        open_client(server.connect_seconds) as http,
        http.stream("POST", server.url, json=body, headers=headers) as response,
    ):
        return response.status_code


def forget_frames(error: BaseException) -> None:
    """Empty the frames of an error and of all that it stands for: they hold a person's token, often in a cycle."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        clear_frames(each.__traceback__)
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        waiting += [reason for reason in (each.__context__, each.__cause__) if reason is not None]


def _client(
    transport: Transport, server: McpServer, hear: MessageHandlerFnT | None = None, protocol: str | None = None
) -> Client:
    return Client(
        transport,
        mode=protocol if protocol in MODERN_PROTOCOL_VERSIONS else "auto",
        message_handler=hear,
        elicitation_callback=OpenQuestions(),
        read_timeout_seconds=server.connect_seconds,
        client_info=_CLIENT,
        cache=None,
    )


async def listed(client: Client) -> list[Definition]:
    """Return what a server says of its tools.

    Raises:
        MCPError: It does not list them.
    """
    found: list[Definition] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += map(Definition.of, page.tools)
        cursor = page.next_cursor
        if cursor is None or len(found) > MAX_TOOLS:
            break
    return found


@asynccontextmanager
async def _watched(transport: Transport, on_end: Callable[[], None]) -> AsyncIterator[TransportStreams]:
    """Yield a transport's streams, and call `on_end` once nothing more can come."""
    async with transport as (read, write):
        forward, forwarded = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def watch() -> None:
            try:
                async with forward:
                    async for message in read:
                        await forward.send(message)
            finally:
                on_end()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            yield forwarded, write
            group.cancel_scope.cancel()
