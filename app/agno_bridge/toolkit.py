"""Runs one of agno's toolkits as a Deputy toolkit: an instance for each request, its tools in threads or tasks."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from agno.run import RunContext as ForeignContext
from agno.tools.toolkit import Toolkit as ForeignToolkit
from pydantic_ai import RunContext

from app.agno_bridge.calling import called
from app.agno_bridge.confinement import confined
from app.agno_bridge.instances import Blueprint, entrypoint_of, take_apart
from app.agno_bridge.results import gathered, gathered_later, shown
from app.agno_bridge.tools import ForeignTool
from app.deadline import Deadline
from app.google.client import GoogleClient, RequestThreads
from app.principal import Principal
from app.toolkits.toolkit import Toolkit, ToolSpec


class TokenHolder(Protocol):
    """The person's access at one provider."""

    @property
    def access_token(self) -> str:
        """Return the token for the tool that runs."""


class ForeignToolkitAdapter(Toolkit):
    """Runs the tools of one class of agno's for one person. Lives for one request.

    The instance is built when a tool first runs, with the person's own token, and again when that token is renewed. It
    is taken apart when the request ends.

    Args:
        principal: The person.
        threads: Runs what blocks.
        deadline: The message's deadline; nobody waits longer for a tool.
        connections: The person's access, by connection.
        google: The person's Google client, for a class of Google's.
    """

    name: ClassVar[str] = ""
    blueprint: ClassVar[Blueprint]
    foreign: ClassVar[Mapping[str, ForeignTool]] = MappingProxyType({})

    def __init__(
        self,
        principal: Principal,
        threads: RequestThreads,
        deadline: Deadline,
        connections: Mapping[str, TokenHolder],
        google: GoogleClient | None = None,
    ) -> None:
        self._principal = principal
        self._threads = threads
        self._deadline = deadline
        self._connections = connections
        self._google = google
        self._made: ForeignToolkit | None = None
        self._tokens: dict[str, str] = {}
        self._old: list[ForeignToolkit] = []
        self._making = threading.Lock()
        self._state: dict[str, Any] = {}

    @property
    def wrapped(self) -> ForeignToolkit | None:
        """Return the person's instance, once a tool has run."""
        return self._made

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run a tool of agno's, and return its result as marked text.

        Raises:
            ToolError: It failed, took longer than the message may, or was refused.
        """
        tool = self.foreign[spec.name]
        tokens = {name: self._connections[name].access_token for name in self._connections}
        result = await called(spec.name, self._run(tool, tool_args, tokens), self._deadline)
        return shown(result, (*self.blueprint.secrets(), *tokens.values()))

    async def aclose(self) -> None:
        """Take the person's instances apart, so that nothing of them is left for the garbage collector."""
        with self._making:
            made = [*self._old, *([self._made] if self._made is not None else [])]
            self._made, self._old, self._tokens, self._state = None, [], {}, {}
        for each in made:
            take_apart(each)

    async def _run(self, tool: ForeignTool, tool_args: dict[str, Any], tokens: Mapping[str, str]) -> Any:
        arguments = self._arguments(tool, tool_args)
        if not tool.is_async:
            if self._google is not None:
                return await self._google.in_thread(self._call, tool, arguments, tokens)
            return await self._threads.to_thread(self._call, tool, arguments, tokens)
        made = await self._threads.to_thread(self._instance, tokens)
        with confined(self.blueprint.confinement_of(tool)):
            result = entrypoint_of(made, tool)(**arguments)
            if inspect.isawaitable(result):
                result = await result
            return await gathered_later(result) if isinstance(result, AsyncIterator) else result

    def _call(self, tool: ForeignTool, arguments: dict[str, Any], tokens: Mapping[str, str]) -> Any:
        """Call a tool in this thread."""
        made = self._instance(tokens)
        with confined(self.blueprint.confinement_of(tool)):
            result = entrypoint_of(made, tool)(**arguments)
            return gathered(result) if isinstance(result, Iterator) else result

    def _instance(self, tokens: Mapping[str, str]) -> ForeignToolkit:
        """Return the person's instance, and build it if these tokens have no instance yet."""
        with self._making:
            if self._made is None or self._tokens != tokens:
                made = self.blueprint.build(tokens)
                if self._made is not None:
                    self._old.append(self._made)  # another tool may be running on it
                self._made, self._tokens = made, dict(tokens)
            return self._made

    def _arguments(self, tool: ForeignTool, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments, with what agno's framework would add."""
        arguments = dict(given)
        for name, is_required in tool.hidden.items():
            if name in ("run_context", "_agno_run_context"):
                arguments[name] = ForeignContext(
                    run_id="deputy", session_id="deputy", user_id=str(self._principal), session_state=self._state
                )
            elif is_required:
                arguments[name] = None
        return arguments
