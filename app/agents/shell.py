"""The part of a configured agent that all people share."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pydantic_ai import UsageLimits
from pydantic_ai.messages import InstructionPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from app.conversations.history import HISTORY_CHARACTERS
from app.errors import AgentError
from app.llm.offline import MEMBER_TOOLS
from app.oauth.provider import Permission, unworded
from app.toolkits.toolkit import Toolkit, ToolSpec

Definitions = Sequence[ToolDefinition]


class AgentShell:
    """One configured agent as all people share it: its name, instructions, model and limits.

    Lives as long as the process and knows no person: toolkits, members and history are handed over with each run.

    Args:
        permission: Returns what an OAuth scope of a connection permits, in words.
        asks: The tools by which it asks the members of its team, by their names, in the order of the members.
        shares_history: Its members see the conversation, as it does.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        instructions: str,
        history_turns: int,
        request_limit: int,
        tool_calls_limit: int,
        history_characters: int = HISTORY_CHARACTERS,
        permission: Permission = unworded,
        asks: Sequence[ToolSpec] = (),
        shares_history: bool = False,
    ) -> None:
        self.name = name
        self.permission = permission
        self.history_turns = history_turns
        self.history_characters = history_characters
        self.limits = UsageLimits(request_limit=request_limit, tool_calls_limit=tool_calls_limit)
        self.model = model
        self.asks: Mapping[str, ToolSpec] = MappingProxyType({spec.name: spec for spec in asks})
        self.shares_history = shares_history
        self._instructions = [InstructionPart(instructions)] if instructions else []
        self._last: tuple[Sequence[object], Definitions] = ((), ())  # of the last request

    def asking(self, toolkits: Sequence[Toolkit], members: Sequence[Definitions] = ()) -> ModelRequestParameters:
        """Return the tools of these toolkits and the instructions, for the model's next request.

        Args:
            toolkits: The person's toolkits.
            members: The tools of each member of the team.

        Raises:
            AgentError: Two tools have the same name.
        """
        notices = [InstructionPart(said, dynamic=True) for toolkit in toolkits if (said := toolkit.notice())]
        return ModelRequestParameters(
            function_tools=[*self.definitions(toolkits, members)],
            instruction_parts=[*self._instructions, *notices],
        )

    def definitions(self, toolkits: Sequence[Toolkit], members: Sequence[Definitions] = ()) -> Definitions:
        """Return the definitions of all tools, the very same object as long as they do not change.

        Raises:
            AgentError: Two tools have the same name.
        """
        offered = [toolkit.offered() for toolkit in toolkits]
        before, definitions = self._last
        parts = [*offered, *members]
        if len(before) != len(parts) or any(map(operator.is_not, before, parts)):
            definitions = [spec.definition for tools in offered for spec in tools.values()]
            for spec, tools in zip(self.asks.values(), members, strict=True):
                metadata = {**(spec.definition.metadata or {}), MEMBER_TOOLS: tuple(tools)}
                definitions.append(replace(spec.definition, metadata=metadata))
            if len({definition.name for definition in definitions}) < len(definitions):
                raise AgentError("I am not set up correctly: two of my tools have the same name.")
            self._last = (parts, definitions)
        return definitions

    def __repr__(self) -> str:
        return f"AgentShell({self.name!r})"
