"""P10: the cost of isolation: a message with all guarantees on, compared with one answered by a shared agent.

Run it with ``python -m benchmarks.message``. A model answers the message by one call of one of forty tools, and then
repeats the result. The first three variants store neither history nor audit trail.

* Deputy: `RequestScopes.open_agent` of the real container, the run, and the close of the scope, for each message.
* The same Deputy agent, made once and used for every message, as in a server without request scopes: it ignores whose
  message it is. The guard, the tools and the loop are the same.
* pydantic-ai alone: one `Agent` of bound methods, made once. It has no guard.
* The whole message, on SQLite: accepted, begun, answered and ended, in a scope and with one agent for everybody. That
  is all that a server does for a message, apart from its channel.

All variants take turns in one process; the figure is the median CPU time, for the whole message without the threads
that wait for the disk.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from dependency_injector import providers
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.agents.agent import Agent, Answered
from app.deadline import Deadline
from app.main import running
from app.principal import Principal
from benchmarks.agent import ADA, MESSAGE, opened_container
from benchmarks.figures import Figure, against, in_turn, repeat, show, show_figures
from benchmarks.growth import Load, answer_one, first_tool, settings_of
from benchmarks.peers import Person, pydantic_ai_agent
from containers.application import Application
from containers.build import build
from containers.scopes import Scope
from containers.testing import use_model

ROUNDS = 150
TIMES = 10  # in a round
OURS, SHARED = "Deputy: a request scope for each message", "Deputy: one shared agent, no scope"
PLAIN = "pydantic-ai: one shared Agent, no guard"
STORED, STORED_SHARED = "Deputy: the whole message, on SQLite", "Deputy: the whole message, one shared agent"
SEARCH, SEARCHED = "files_search", '{"query": "harbour", "limit": 3}'  # the model's only tool call
_NUMBERS = itertools.count()
FOUND = "[{'query': 'harbour', 'limit': 3, 'page': None}]"

Variant = Callable[[], Awaitable[str]]
"""Answers the message."""


def search_and_tell(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Stand in for the model: search once, and answer with the result."""
    for part in messages[-1].parts:
        if isinstance(part, ToolReturnPart):
            return ModelResponse(parts=[TextPart(str(part.content))])
    return ModelResponse(parts=[ToolCallPart(SEARCH, SEARCHED)])


def _ours(container: Application) -> Variant:
    scopes = container.request_scopes()

    async def answer() -> str:
        async with scopes.open_agent(ADA, Deadline.after(60)) as agent:
            return await _answer(agent)

    return answer


def _shared(agent: Agent) -> Variant:
    async def answer() -> str:
        return await _answer(agent)

    return answer


async def _answer(agent: Agent) -> str:
    answered = await agent.answer(MESSAGE)
    assert isinstance(answered, Answered)
    return answered.text


def _plain(model: FunctionModel) -> Variant:
    agent = pydantic_ai_agent(model, Person("ada"))

    async def answer() -> str:
        return (await agent.run(MESSAGE.text)).output

    return answer


class _Lending:
    """Stands in for `RequestScopes`, without scopes: everybody gets the same agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    @asynccontextmanager
    async def open_agent(self, _principal: Principal, _deadline: Deadline) -> AsyncIterator[Agent]:
        """Yield the agent."""
        yield self._agent


async def _answer_new(container: Application) -> None:
    """Answer a message that begins a conversation, so that each costs the same."""
    await answer_one(container, ADA, f"c{next(_NUMBERS)}")


async def _measure_stored() -> dict[str, float]:
    """Return the median microseconds of a whole message, by variant."""
    async with AsyncExitStack() as stack:
        batches = {}
        for name in (STORED, STORED_SHARED):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deputy-message-")))
            settings = settings_of(folder, Load())
            container = build(settings)
            use_model(container, FunctionModel(first_tool))
            await stack.enter_async_context(running(container, settings, answers=False))
            if name == STORED_SHARED:
                for_ever = await stack.enter_async_context(Scope(ADA, Deadline.after(3600)))
                agent: Agent = for_ever.get(container.agents.providers["assistant"])
                container.request_scopes.override(providers.Object(_Lending(agent)))
            batches[name] = (repeat(partial(_answer_new, container)), TIMES)
        return await in_turn(batches, rounds=ROUNDS // 3)


async def measure() -> dict[str, float]:
    """Return the median microseconds of a message, by variant."""
    return await _measure_runs() | await _measure_stored()


async def _measure_runs() -> dict[str, float]:
    model = FunctionModel(search_and_tell)
    async with opened_container() as container, Scope(ADA, Deadline.after(3600)) as for_ever:
        use_model(container, model)
        agent: Agent = for_ever.get(container.agents.providers["assistant"])
        variants = {OURS: _ours(container), SHARED: _shared(agent), PLAIN: _plain(model)}
        for name, variant in variants.items():
            assert await variant() == FOUND, name
        batches = {name: (repeat(variant), TIMES) for name, variant in variants.items()}
        return await in_turn(batches, rounds=ROUNDS, clock=time.process_time_ns)


def figures(medians: dict[str, float]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    variants = (OURS, SHARED, PLAIN, STORED, STORED_SHARED)
    ours, shared, plain, stored, stored_shared = (medians[name] / 1000 for name in variants)
    return {
        "P10 message, against one shared agent": against(ours, shared, "ms", at_most=1.05),
        "P10 message, against one of pydantic-ai alone": against(ours, plain, "ms", at_most=1.05),
        "P10 whole message, against one shared agent": against(stored, stored_shared, "ms", at_most=1.05),
    }


def main() -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    medians = asyncio.run(measure())
    show("one message with one tool call, 40 tools", {"us": medians}, digits=0)
    found = figures(medians)
    show_figures(found)
    return found


if __name__ == "__main__":
    main()
