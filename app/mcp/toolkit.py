"""The tools of an MCP server in one request."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import mcp_types
from pydantic_ai import RunContext

from app.deadline import Deadline
from app.errors import ToolError
from app.mcp.calling import ToolCall
from app.mcp.catalogue import McpCatalogue
from app.mcp.open_questions import NOTE, UNANSWERED
from app.mcp.personal import PersonalSession
from app.mcp.results import as_reason, in_quotes
from app.mcp.session import SharedSession
from app.toolkits.asides import with_aside
from app.toolkits.questions import GOES_ON
from app.toolkits.toolkit import Effect, Toolkit, ToolSpec

_CHANGED = with_aside(
    "I did not do this: the server describes this tool otherwise than before, so I do not use it until my "
    "administrator accepts that.",
    "Tell the person; do not try it again.",
)


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
        asked = _asked(self._catalogue, spec, tool_args, self._deadline, ctx)
        return _answer(self._catalogue, await self._session.call(asked))


class PersonalMcpToolkit(Toolkit):
    """The tools of a server that knows people, for one person. Lives for one request.

    The definitions of the tools are the same for everybody. Until they are known, because nobody has connected yet, the
    model is offered a tool that lists them, and the others with its next request.

    Args:
        session: The person's connection, which opens with the first call.
        catalogue: The tools.
        deadline: The message's deadline.
    """

    def __init__(self, session: PersonalSession, catalogue: McpCatalogue, deadline: Deadline) -> None:
        self._session = session
        self._catalogue = catalogue
        self._deadline = deadline

    def known(self) -> Mapping[str, ToolSpec]:
        """Return the tools of the server, and the one that lists them."""
        return MappingProxyType({**self._catalogue.tools, **self._catalogue.listing})

    def offered(self) -> Mapping[str, ToolSpec]:
        """Return the tools of the server, or the one that lists them if none are known."""
        return self._catalogue.tools or self._catalogue.listing

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Call the server as the person.

        Raises:
            ToolError: It cannot be reached, or the call failed.
            CredentialsError: The person has to consent first.
        """
        if spec.name in self._catalogue.listing:
            await self._session.list_tools()
            return {"tools": sorted(self._catalogue.tools)}
        asked = _asked(self._catalogue, spec, tool_args, self._deadline, ctx)
        return _answer(self._catalogue, await self._session.call(asked))


def _asked(
    catalogue: McpCatalogue, spec: ToolSpec, arguments: dict[str, Any], deadline: Deadline, ctx: RunContext[Any]
) -> ToolCall:
    server = catalogue.server
    if (tool := catalogue.tool_of(spec)) is None:
        raise ToolError(_CHANGED)
    acts = spec.effect is not Effect.READ
    return ToolCall(
        server.name,
        tool,
        arguments,
        acts,
        deadline.clip(server.call_seconds),
        steps_up=server.discovers,
        goes_on=(ctx.tool_call_metadata or {}).get(GOES_ON),
        url=server.url,
        knows_people=server.connection is not None,
    )


def _answer(catalogue: McpCatalogue, result: mcp_types.CallToolResult) -> dict[str, Any]:
    server = catalogue.server
    unanswered = bool((result.meta or {}).get(UNANSWERED))
    if result.is_error:
        words = f" {NOTE}" if unanswered else ""
        raise ToolError(f"The server {server.name} says that this failed: {as_reason(result)}{words}")
    answer = in_quotes(result, server.max_characters)
    return {**answer, "note": NOTE} if unanswered else answer
