"""MCP servers on loopback, and settings with servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from app.sections.agents import AgentSettings
from app.sections.mcp import McpSettings
from app.settings import Settings
from containers.testing import settings_in
from interfaces.listening import listening


def settings_with(folder: Path, **servers: McpSettings) -> Settings:
    """Settings of an agent that has the tools of these servers and no others."""
    agent = AgentSettings(toolkits=tuple(servers))
    return settings_in(folder, agent=agent).model_copy(update={"mcp": MappingProxyType(servers)})


def shared(url: str, *reads: str, refresh_seconds: float = 60.0) -> McpSettings:
    """Settings of a server that knows nobody."""
    return McpSettings(url=url, identity="none", reads=reads, refresh_seconds=refresh_seconds)


class Office:
    """What the tools of an MCP server did: each book that was written, and what was looked up."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.looked_up: list[str] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.text = "open from nine to five"

    def server(self, *, look_up: str = "Look something up.") -> MCPServer:
        """A new server over this office."""
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


@asynccontextmanager
async def serving(server: MCPServer, url: str = "http://127.0.0.1:0") -> AsyncIterator[str]:
    """Serve MCP over HTTP until the block ends; yields the address, which an `url` of an earlier server chooses."""
    app = server.streamable_http_app(host="127.0.0.1")
    async with server.session_manager.run(), listening(app, "127.0.0.1", urlsplit(url).port or 0) as base_url:
        yield f"{base_url}/mcp"
