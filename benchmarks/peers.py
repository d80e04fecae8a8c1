"""The alternatives to Deputy: agents with the same tools, made with pydantic-ai and with agno."""

from __future__ import annotations

from typing import Any

import pydantic_ai
from agno.agent import Agent as AgnoAgent
from agno.models.base import Model as AgnoModel
from agno.models.response import ModelResponse as AgnoResponse
from agno.tools import Toolkit as AgnoToolkit
from pydantic_ai.models import Model

from app.toolkits.toolkit import Toolkit
from benchmarks.toolkits import toolkits_of

INSTRUCTIONS = "You help one person."


class Person:
    """The object to which the peers' tools are bound, instead of credentials."""

    def __init__(self, user: str) -> None:
        self.user = user


def pydantic_ai_agent(model: Model, person: Person) -> pydantic_ai.Agent[None, str]:
    """Return an agent made as in pydantic-ai's documentation, with a tool for each bound method."""
    tools = [pydantic_ai.Tool(method, name=name) for kit in toolkits_of(person) for method, name in methods_of(kit)]
    return pydantic_ai.Agent(model, name="assistant", instructions=INSTRUCTIONS, tools=tools)


def agno_agent(model: AgnoStub, person: Person) -> Any:
    """Return an agno agent with a toolkit for each of Deputy's, without telemetry."""
    toolkits = [AgnoToolkit(name=kit.name, async_tools=methods_of(kit)) for kit in toolkits_of(person)]
    return AgnoAgent(model=model, name="assistant", instructions=INSTRUCTIONS, tools=toolkits, telemetry=False)


def methods_of(kit: Toolkit) -> list[tuple[Any, str]]:
    """Return the bound methods that are tools, each with the tool's name."""
    return [(getattr(kit, spec.method), spec.name) for spec in kit.tools().values()]


class AgnoStub(AgnoModel):  # type: ignore[misc]  # Any where agno is not installed
    """A model that answers at once.

    Attributes:
        shown: The names of the tools that it was shown last.
    """

    shown: tuple[str, ...] = ()

    async def ainvoke(self, *_: Any, **options: Any) -> Any:
        """Answer, and record the tools."""
        self.shown = tuple(tool["function"]["name"] for tool in options["tools"])
        return AgnoResponse(content="Nothing.")

    def invoke(self, *_: Any, **options: Any) -> Any:
        """Raise an error, because only the asynchronous method is used."""
        raise NotImplementedError

    invoke_stream = ainvoke_stream = _parse_provider_response = _parse_provider_response_delta = invoke
