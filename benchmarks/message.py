"""P10: what isolation costs: a message with all guarantees on, against the same message with one shared agent.

Run it with ``python -m benchmarks.message``. The message is answered by a model that makes one tool call out of forty
tools and then says what it got. Neither history nor audit trail is stored: a database would only hide the difference.

* Deputy: `RequestScopes.open_agent` of the real container, the run, and the close of the scope, for each message.
* The same agent of ours, made once and used for every message, as a server without request scopes would: whose message
  it is no longer matters to it. The guard, the tools and the loop are the same.
* pydantic-ai alone: one `Agent` of bound methods, made once. It has no guard.

All variants take turns in one process; the figure is the median CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.agents.agent import Agent, Answered
from app.deadline import Deadline
from benchmarks.agent import ADA, MESSAGE, opened_container
from benchmarks.figures import Figure, against, in_turn, repeat, show, show_figures
from benchmarks.peers import Person, pydantic_ai_agent
from containers.application import Application
from containers.scopes import Scope
from containers.testing import use_model

ROUNDS = 150
TIMES = 10  # in a round
OURS, SHARED = "Deputy: a request scope for each message", "Deputy: one shared agent, no scope"
PLAIN = "pydantic-ai: one shared Agent, no guard"
SEARCH, SEARCHED = "files_search", '{"query": "harbour", "limit": 3}'  # the model's only tool call
FOUND = "[{'query': 'harbour', 'limit': 3, 'page': None}]"

Variant = Callable[[], Awaitable[str]]
"""Answers the message."""


def search_and_tell(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """The model: it searches once, and answers with what it found."""
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


async def measure() -> dict[str, float]:
    """The median microseconds of a message, by variant."""
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
    """What goes into benchmarks/results.json."""
    ours, shared, plain = (medians[name] / 1000 for name in (OURS, SHARED, PLAIN))
    return {
        "P10 message, against one shared agent": against(ours, shared, "ms", at_most=1.05),
        "P10 message, against one of pydantic-ai alone": against(ours, plain, "ms", at_most=1.05),
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
