"""The tools of an MCP server in one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai import RunContext

from app.deadline import Deadline
from app.errors import ToolError
from app.mcp.calling import ToolCall
from app.mcp.catalogue import McpCatalogue
from app.mcp.results import as_reason, in_quotes
from app.mcp.session import SharedSession
from app.toolkits.asides import with_aside
from app.toolkits.toolkit import Effect, Toolkit, ToolSpec

CHANGED = "the server describes this tool otherwise than before, so I do not use it until my administrator accepts that"


class SharedMcpToolkit(Toolkit):
    """The tools of a server that knows no person. Lives for one request, and holds nothing of its own.

    While the server is down, its tools are left out and the model learns why; a call of one that it remembers fails
    with the same words.

    Args:
        session: The connection, which all people share.
        catalogue: The tools.
        deadline: The message's deadline.
    """

    def __init__(self, session: SharedSession, catalogue: McpCatalogue, deadline: Deadline) -> None:
        self._session = session
        self._catalogue = catalogue
        self._deadline = deadline

    def known(self) -> Mapping[str, ToolSpec]:
        """Return the tools of the server, even while it is down."""
        return self._catalogue.tools

    def offered(self) -> Mapping[str, ToolSpec]:
        """Return the tools of the server, or none while it is down."""
        return self._catalogue.tools if self._session.is_up else self.tools()

    def notice(self) -> str | None:
        """Return that the server is down, if it is."""
        if self._session.is_up:
            return None
        return (
            f"The server {self._session.server.name} is down at the moment, so you do not have its tools. Say so to "
            "the person if they ask for something that needs them."
        )

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Call the server.

        Raises:
            ToolError: It is down, or the call failed.
        """
        del ctx
        server = self._session.server
        if (tool := self._catalogue.tool_of(spec)) is None:
            raise ToolError(with_aside(f"I did not do this: {CHANGED}.", "Tell the person; do not try it again."))
        seconds = self._deadline.clip(server.call_seconds)
        asked = ToolCall(server.name, tool, tool_args, spec.effect is not Effect.READ, seconds)
        result = await self._session.call(asked)
        if result.is_error:
            raise ToolError(f"The server {server.name} says that this failed: {as_reason(result)}")
        return in_quotes(result, server.max_characters)
