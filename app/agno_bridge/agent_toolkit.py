"""The tools of one person's agno agent, as a toolkit of Deputy's."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic_ai import RunContext

from app.agno_bridge.agents import PersonsAgent
from app.agno_bridge.calling import called
from app.agno_bridge.confinement import Confinement, confined
from app.agno_bridge.results import gathered, shown
from app.deadline import Deadline
from app.google.client import RequestThreads
from app.toolkits.toolkit import Toolkit, ToolSpec


class AgentsToolkit(Toolkit):
    """Runs the tools that a person's agno agent brings. Lives for one request.

    Args:
        agent: The agent.
        threads: Runs what blocks.
        deadline: The message's deadline; nobody waits longer for a tool.
    """

    name: ClassVar[str] = "agno"

    def __init__(self, agent: PersonsAgent, threads: RequestThreads, deadline: Deadline) -> None:
        self._agent = agent
        self._threads = threads
        self._deadline = deadline
        self._tools = {tool.spec.name: tool for tool in agent.tools}
        self._specs = MappingProxyType({name: tool.spec for name, tool in self._tools.items()})

    def known(self) -> Mapping[str, ToolSpec]:
        """Return the tools of this person's agent."""
        return self._specs

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run a tool of the agent's, and return its result as marked text.

        Raises:
            ToolError: It failed, took longer than the message may, or was refused.
        """
        tool = self._tools[spec.name]
        arguments = tool_args | {name: None for name, is_required in tool.hidden.items() if is_required}
        entrypoint = self._agent.functions[tool.name].entrypoint
        assert entrypoint is not None
        return shown(await called(spec.name, self._call(entrypoint, arguments, tool.is_async), self._deadline), ())

    async def _call(self, entrypoint: Any, arguments: Mapping[str, Any], is_async: bool) -> Any:
        confinement = self._agent.declared.confinement
        if not is_async:
            return await self._threads.to_thread(_confined_call, entrypoint, arguments, confinement)
        with confined(confinement):
            result = entrypoint(**arguments)
            return await result if inspect.isawaitable(result) else result


def _confined_call(entrypoint: Any, arguments: Mapping[str, Any], confinement: Confinement) -> Any:
    with confined(confinement):
        result = entrypoint(**arguments)
        return gathered(result) if isinstance(result, Iterator) else result
