"""Agents that are written for agno: a factory makes one for each request, and Deputy's loop runs its tools.

Every tool of the agent is one that agno leaves to others to execute, so a run of agno's is one request to its model.
Then it pauses, and Deputy's guard asks the person, records the call and runs it. Nothing of a pause stays in agno: the
next run is given all messages, from wherever the conversation was parked.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agno.agent import Agent as AgnoAgent
from agno.models.message import Message
from agno.run.agent import RunOutput
from agno.tools.function import Function
from agno.tools.toolkit import Toolkit as ForeignToolkit
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app.agno_bridge.confinement import Confinement, confined
from app.agno_bridge.declaration import ForeignDeclaration
from app.agno_bridge.instances import functions_of, take_apart
from app.agno_bridge.rules import check_environment, reaches_machine
from app.agno_bridge.tools import ForeignTool, foreign_tools
from app.errors import SettingsError
from app.principal import Principal

_TAKEN = "_deputy_taken"  # an attribute of what belongs to one request already


@dataclass(frozen=True, slots=True)
class AgentDeclaration:
    """A factory of agno agents and what its tools may do. Lives as long as the process."""

    name: str
    path: str
    factory: Callable[..., AgnoAgent]
    reads: tuple[str, ...] = ()
    allow_environment: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """Return the first part of the names of its tools."""
        return self.name.replace("-", "_")

    @property
    def confinement(self) -> Confinement:
        """Return the limits of its tools."""
        return Confinement(frozenset(self.allow_environment))


def load_factory(import_path: str) -> Callable[..., AgnoAgent]:
    """Return the function at ``package.module:function``.

    Raises:
        SettingsError: It cannot be imported, or it is an agent that everybody would share.
    """
    module, _, name = import_path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"cannot be imported: no module named {error.name}; is its folder on PYTHONPATH?"
        ) from error
    except (Exception, SystemExit) as error:
        raise SettingsError(f"cannot be imported ({type(error).__name__})") from error
    if isinstance(found, AgnoAgent):
        raise SettingsError("is an agent, which everybody would share; name a function that builds one")
    refuse_teams(found)
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise SettingsError("is no function that builds an agent; make it a `def`, because constructors do no I/O")
    return found  # type: ignore[no-any-return]


def refuse_teams(found: object) -> None:
    """Pass when something is no team or workflow of agno's, whose members agno itself would run.

    Raises:
        SettingsError: It is one.
    """
    if not isinstance(found, AgnoAgent):
        from agno.team import Team
        from agno.workflow import Workflow

        if isinstance(found, Team | Workflow):
            raise SettingsError(
                f"gives a {type(found).__name__} of agno's, whose members it would run without asking the person; "
                "write a function for each member, and `members` for the team (docs/teams.md)"
            )


class PersonsAgent:
    """One person's agno agent. Lives for one request, and takes the agent apart at its end.

    Args:
        declared: The factory.
        principal: The person.
        given: What the factory asks for, by parameter.

    Raises:
        SettingsError: The factory gives out the same agent or toolkit again, or an agent whose tools are not known,
            that work on this machine, or that take a credential from the environment.
    """

    def __init__(self, declared: AgentDeclaration, principal: Principal, given: Mapping[str, Any]) -> None:
        self.declared = declared
        self._principal = principal
        agent = self._built(given)
        if not isinstance(agent, AgnoAgent):
            refuse_teams(agent)
            raise SettingsError(f"{declared.path} returned a {type(agent).__name__}, and no agent of agno's")
        if agent.tools is not None and not isinstance(agent.tools, list):
            raise SettingsError(f"{declared.path} returned an agent with a function as its tools; give it a list")
        self._take(agent)
        agent.telemetry = False
        agent.db = None  # what was said belongs to the person, and is in Deputy's own history
        self.agent: AgnoAgent | None = agent
        self.toolkits = [tool for tool in agent.tools or () if isinstance(tool, ForeignToolkit)]
        for toolkit in self.toolkits:
            self._take(toolkit)
            if (reach := reaches_machine(type(toolkit))) is not None:
                raise SettingsError(
                    f"{declared.path} gives the agent a {type(toolkit).__name__}, which {reach}, which everybody "
                    "shares; name it below `toolkits`, with allow_machine"
                )
        tools = [self._prepared(tool) for tool in agent.tools or ()]
        self.functions: dict[str, Function] = {
            function.name: function
            for tool in tools
            for function in (functions_of(tool).values() if isinstance(tool, ForeignToolkit) else [tool])
        }
        declaration = ForeignDeclaration(declared.path, reads=declared.reads)
        self.tools: tuple[ForeignTool, ...] = ()
        if self.functions:
            self.tools = foreign_tools(declared.prefix, self.functions, declaration, ())
        agent.tools = [_stand_in(tool) for tool in self.tools]

    def packages(self) -> set[str]:
        """Return the packages whose instances make up the agent: agno, and those of the deployer's own code."""
        found = {type(part).__module__ for part in (self.agent, *self.toolkits)}
        return {name.partition(".")[0] for name in (*found, self.declared.path)}

    async def respond(self, messages: Sequence[ModelMessage]) -> ModelResponse:
        """Return what the agent's model answers: text, or calls of its tools.

        Raises:
            ModelAPIError: It did not answer.
        """
        assert self.agent is not None
        output = await self.agent.arun(
            input=_for_agno(messages, f"{self.declared.prefix}_"), user_id=str(self._principal), stream=False
        )
        if output.status == "ERROR":
            raise ModelAPIError(self.declared.name, "the agent's model failed")
        return self._response(output)

    async def aclose(self) -> None:
        """Take the agent and its toolkits apart, so that nothing of them waits for the garbage collector."""
        agent, self.agent, self.functions = self.agent, None, {}
        for toolkit in self.toolkits:
            take_apart(toolkit)
        self.toolkits = []
        if agent is not None:
            agent.__dict__.clear()

    def _built(self, given: Mapping[str, Any]) -> object:
        """Call the factory; a toolkit that it builds finds no credential in the environment."""
        confinement = Confinement(
            frozenset(self.declared.allow_environment), machine=True, owners=(ForeignToolkit,), hidden=set()
        )
        try:
            with confined(confinement):
                return self.declared.factory(**given)
        finally:  # a toolkit that finds none may fail for that reason
            self._check_environment(confinement.hidden)

    def _check_environment(self, hidden: Iterable[str]) -> None:
        try:
            check_environment(hidden, "Give the toolkit the person's own in the function")
        except SettingsError as error:
            raise SettingsError(f"{self.declared.path} builds a toolkit that {error}") from None

    def _response(self, output: RunOutput) -> ModelResponse:
        waiting = [tool for tool in output.tools or () if tool.external_execution_required]
        if not output.is_paused or not waiting:
            return ModelResponse([TextPart(str(output.content or ""))], model_name=self.declared.name)
        prefix = f"{self.declared.prefix}_"
        return ModelResponse(
            [
                ToolCallPart(f"{prefix}{tool.tool_name}".lower(), tool.tool_args or {}, tool.tool_call_id or "call")
                for tool in waiting
            ],
            model_name=self.declared.name,
        )

    def _take(self, part: Any) -> None:
        if part.__dict__.get(_TAKEN):
            raise SettingsError(
                f"{self.declared.path} gave out the same {type(part).__name__} again, which people would share; "
                "build the agent and its toolkits in the function"
            )
        part.__dict__[_TAKEN] = True

    def _prepared(self, tool: Any) -> ForeignToolkit | Function:
        """Return a tool of the agent's list, with functions that belong to this agent alone."""
        if isinstance(tool, ForeignToolkit):
            return tool
        if not isinstance(tool, Function) and not callable(tool):
            raise SettingsError(f"{self.declared.path} returned an agent with a {type(tool).__name__} as a tool")
        # A copy, because a function of a module belongs to nobody.
        return tool.model_copy() if isinstance(tool, Function) else Function(name=tool.__name__, entrypoint=tool)


def _stand_in(tool: ForeignTool) -> Function:
    """Return what agno knows of a tool: a run of agno's makes cycles, and must not hold the person's toolkit in one."""
    return Function(
        name=tool.name,
        description=tool.spec.definition.description,
        parameters=tool.spec.definition.parameters_json_schema,
        entrypoint=_never,
        skip_entrypoint_processing=True,
        external_execution=True,
    )


def _never() -> None:
    raise RuntimeError("Deputy runs the tools, and agno none")


def model_of(agent: PersonsAgent) -> FunctionModel:
    """Return the agent as a model of Deputy's loop."""

    async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return await agent.respond(messages)

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        for number, part in enumerate((await agent.respond(messages)).parts):
            if isinstance(part, TextPart):
                yield part.content
            elif isinstance(part, ToolCallPart):
                yield {
                    number: DeltaToolCall(
                        name=part.tool_name, json_args=part.args_as_json_str(), tool_call_id=part.tool_call_id
                    )
                }

    return FunctionModel(respond, stream_function=stream, model_name=agent.declared.name)


def _for_agno(messages: Sequence[ModelMessage], prefix: str) -> list[Message]:
    """Return the messages of a conversation as agno has them; the instructions are the agent's own."""
    found: list[Message] = []
    for message in messages:
        calls = []
        for part in message.parts:
            if isinstance(part, UserPromptPart):
                texts = (
                    [part.content] if isinstance(part.content, str) else [c for c in part.content if isinstance(c, str)]
                )
                found.append(Message(role="user", content="\n".join(texts)))
            elif isinstance(part, ToolReturnPart):
                found.append(
                    Message(
                        role="tool",
                        content=part.model_response_str(),
                        tool_call_id=part.tool_call_id,
                        tool_name=part.tool_name.removeprefix(prefix),
                    )
                )
            elif isinstance(part, TextPart):
                found.append(Message(role="assistant", content=part.content))
            elif isinstance(part, ToolCallPart):
                function = {"name": part.tool_name.removeprefix(prefix), "arguments": part.args_as_json_str()}
                calls.append({"id": part.tool_call_id, "type": "function", "function": function})
        if calls:
            found.append(Message(role="assistant", content=None, tool_calls=calls))
    return found
