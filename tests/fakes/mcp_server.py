"""MCP servers on loopback, and settings with servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import AnyHttpUrl, SecretStr
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sections.agents import AgentSettings
from app.sections.connections import ConnectionSettings
from app.sections.mcp import McpSettings
from app.settings import Settings
from containers.testing import settings_in
from interfaces.listening import listening


def settings_with(folder: Path, **servers: McpSettings) -> Settings:
    """Return the settings of an agent that has the tools of these servers and no others."""
    agent = AgentSettings(toolkits=tuple(servers))
    return settings_in(folder, agent=agent).model_copy(update={"mcp": MappingProxyType(servers)})


def shared(url: str, *reads: str, refresh_seconds: float = 60.0) -> McpSettings:
    """Return the settings of a server that does not know people."""
    return McpSettings(url=url, identity="none", reads=reads, refresh_seconds=refresh_seconds)


class Office:
    """The state behind the tools of an MCP server: the texts that were written, and what was looked up."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.looked_up: list[str] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.text = "open from nine to five"

    def server(self, *, look_up: str = "Look something up.") -> MCPServer:
        """Return a new server for this office."""
        server = MCPServer("office")

        @server.tool(name="look-up", description=look_up)
        async def look(topic: str) -> str:
            self.looked_up.append(topic)
            return f"{topic}: {self.text}"

        @server.tool(description="Write something into the book.")
        async def write(text: str) -> str:
            self.written.append(text)
            return "written"

        @server.tool(description="Write slowly.")
        async def write_slowly(text: str) -> str:
            self.written.append(text)
            self.begun.set()
            await self.go_on.wait()
            return "written"

        @server.tool(description="Fail.")
        async def fail() -> str:
            raise ToolError("the ⟦book⟧ is closed")

        return server


class Before(Protocol):
    """An application in front of an MCP server."""

    def over(self, app: ASGIApp) -> ASGIApp:
        """Return an application that wraps this one."""
        ...


class Older:
    """Hides from clients everything newer than protocol 2025-11-25, which has sessions.

    Attributes:
        sessions: The sessions that were used, each with the bearers of its requests.
        ended: The sessions that the client has ended.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, set[str]] = {}
        self.ended: set[str] = set()

    def over(self, app: ASGIApp) -> ASGIApp:
        """Return an application that wraps this one and hides newer methods."""

        async def older(scope: Scope, receive: Receive, send: Send) -> None:
            headers = Headers(scope=scope)
            if headers.get("mcp-method") == "server/discover":
                await Response(status_code=404)(scope, receive, send)
                return
            if (session := headers.get("mcp-session-id")) is not None:
                self.sessions.setdefault(session, set()).add(headers.get("authorization", ""))
                if scope["method"] == "DELETE":
                    self.ended.add(session)
            await app(scope, receive, send)

        return older


@asynccontextmanager
async def serving(
    server: MCPServer, url: str = "http://127.0.0.1:0", *, older: Before | None = None
) -> AsyncIterator[str]:
    """Serve MCP over HTTP until the block ends, at the port of `url` if it has one; yield the address."""
    app: ASGIApp = server.streamable_http_app(host="127.0.0.1")
    app = older.over(app) if older else app
    started, stop = asyncio.Event(), asyncio.Event()

    async def run() -> None:  # in one task, although a fixture begins and ends in two
        async with server.session_manager.run():
            started.set()
            await stop.wait()

    running = asyncio.create_task(run())
    await started.wait()
    try:
        async with listening(app, "127.0.0.1", urlsplit(url).port or 0) as base_url:
            yield f"{base_url}/mcp"
    finally:
        stop.set()
        await running


ACCOUNTS = ConnectionSettings(
    provider="oauth", client_id="office", client_secret=SecretStr("hush"), issuer="https://issuer.example"
)


def owner_in(token: str) -> str | None:
    """Return the person named by a token of `FakeTokens`, or None if it is another token."""
    return token.removeprefix("token-").rpartition("-")[0] if token.startswith("token-") else None


@dataclass
class PersonalOffice(TokenVerifier):
    """An MCP server that knows people by their tokens, and keeps a book for each.

    Attributes:
        whose: Returns the person that a token belongs to, or None if it is not valid.
        callers: The person of each call, according to the token, and its argument.
        books: The texts that each person has written.
        refused: The people whose tokens it no longer accepts.
    """

    whose: Callable[[str], str | None] = owner_in
    callers: list[tuple[str, str]] = field(default_factory=list)
    books: dict[str, list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    async def verify_token(self, token: str) -> AccessToken | None:
        name = self.whose(token)
        if name is None or name in self.refused:
            return None
        return AccessToken(token=token, client_id="deputy", scopes=[], subject=name)

    def server(self) -> MCPServer:
        """Return a new server for these books."""
        auth = AuthSettings(
            issuer_url=AnyHttpUrl("https://issuer.example"),
            resource_server_url=AnyHttpUrl("http://127.0.0.1/mcp"),
            validate_token_resource=False,
        )
        server = MCPServer("office", token_verifier=self, auth=auth)

        def caller() -> str:
            token = get_access_token()
            assert token is not None
            return token.subject or ""

        @server.tool(description="Say who calls.")
        async def who(mark: str) -> str:
            name = caller()
            self.callers.append((name, mark))
            await asyncio.sleep(0)
            return f"{name} called with {mark}, and wrote {self.books.get(name, [])}"

        @server.tool(description="Write into one's own book.")
        async def write(text: str) -> str:
            self.books.setdefault(caller(), []).append(text)
            return "written"

        return server


def personal_settings(folder: Path, url: str, *reads: str) -> Settings:
    """Return the settings of an agent with a server that people reach with their own accounts."""
    server = McpSettings(url=url, connection="accounts", reads=reads)
    return settings_with(folder, office=server).model_copy(update={"connections": {"accounts": ACCOUNTS}})
