"""The agent's loop without a guard before the tools."""

from __future__ import annotations

from typing import Any

from pydantic_ai import RunContext, UsageLimits
from pydantic_ai.models import Model, ModelRequestParameters

from app.agents.budget import Budget
from app.agents.loop import Loop
from app.toolkits.toolkit import Toolkit, ToolSpec


class BareTools:
    """One toolkit's tools, called without asking anybody. Lives for one run."""

    def __init__(self, toolkit: Toolkit) -> None:
        self._toolkit = toolkit

    @property
    def names(self) -> list[str]:
        """Return all names."""
        return sorted(self._toolkit.tools())

    def spec(self, name: str) -> ToolSpec | None:
        """Return the tool of that name."""
        return self._toolkit.tools().get(name)

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Call the toolkit."""
        return await self._toolkit.call_tool(name, tool_args, ctx)


async def run(model: Model, toolkit: Toolkit, prompt: str) -> str:
    """Return the model's answer to a prompt, with a toolkit to call."""
    asking = ModelRequestParameters(function_tools=[spec.definition for spec in toolkit.tools().values()])
    ended = await Loop(model, BareTools(toolkit), lambda: asking, Budget(UsageLimits()), []).answer(prompt)
    assert isinstance(ended.output, str)
    return ended.output
