"""P2: the cost of one person's agent, ready to run, with four toolkits of ten tools.

Run it with ``python -m benchmarks.agent``. Ours is the work done for each message: `RequestScopes.open_agent` of the
real container, with principal, credentials, Google client, four toolkits and the agent in a request scope, all
guarantees on, and the scope closed again. The peers make an agent of the same methods, bound to four objects of one
person:

* agno: a fresh `Agent`, and `deep_copy()`, by which its AgentOS keeps requests apart;
* pydantic-ai as its documentation shows it, with a tool for each bound method.

agno makes schemas only when it runs. A second column therefore adds a run with a model that answers at once, in which
no work can hide; its history comes from memory, so that no database is measured. All variants take turns in one
process; the figure is the median CPU time. Before that, each variant must show its model all forty tools.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.agents.agent import Answered
from app.deadline import Deadline
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.sections.agents import AgentSettings
from benchmarks.figures import Figure, against, in_turn, repeat, show, show_figures, within
from benchmarks.peers import AgnoStub, Person, agno_agent, pydantic_ai_agent
from benchmarks.toolkits import IMPORT_PATHS, TOOL_NAMES
from benchmarks.unkept import keep_nothing
from containers.application import Application
from containers.testing import open_test_container, settings_in, use_model

ROUNDS = 100
OURS = "Deputy: a request scope with the agent, opened and closed"
AGNO, AGNO_COPY = "agno: a fresh Agent", "agno: deep_copy()"
NAIVE = "pydantic-ai: an Agent of bound methods"
TIMES = {OURS: 40, AGNO: 4, AGNO_COPY: 4, NAIVE: 1}  # in a round

ADA = Principal("http", "demo", "ada")
MESSAGE = StoredMessage(
    message_id="0" * 32,
    principal=ADA,
    conversation="c",
    sequence=1,
    text="What is new?",
    address={},
    state=MessageState.RUNNING,
    attempt=1,
    interruptions=0,
    failures=0,
    answer=None,
    link_id=None,
    private=False,
    created_at=0.0,
)

Variant = Callable[[bool], Awaitable[object]]
"""Makes an agent; runs it if it is told so, and returns the answer."""


class Answers:
    """A model that answers at once.

    Attributes:
        shown: The names of the tools that it was shown last.
    """

    def __init__(self) -> None:
        self.shown: tuple[str, ...] = ()

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.shown = tuple(tool.name for tool in info.function_tools)
        return ModelResponse(parts=[TextPart("Nothing.")])


@asynccontextmanager
async def opened_container() -> AsyncIterator[Application]:
    """Yield the real container, with an agent that has the four toolkits and stores nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = settings_in(folder, toolkits=IMPORT_PATHS, agent=AgentSettings(toolkits=tuple(IMPORT_PATHS)))
        async with open_test_container(settings) as container:
            keep_nothing(container)
            yield container


def _ours(container: Application, answers: Answers) -> Variant:
    use_model(container, FunctionModel(answers))
    scopes = container.request_scopes()

    async def make(run: bool) -> object:
        async with scopes.open_agent(ADA, Deadline.after(60)) as agent:
            assert agent.principal is ADA
            if not run:
                return None
            answered = await agent.answer(MESSAGE)
            assert isinstance(answered, Answered)
            return answered.text

    return make


def _agno(stub: AgnoStub) -> Variant:
    async def make(run: bool) -> object:
        agent = agno_agent(stub, Person("ada"))
        return (await agent.arun(MESSAGE.text)).content if run else None

    return make


def _agno_copy(stub: AgnoStub) -> Variant:
    prototype = agno_agent(stub, Person("ada"))

    async def make(run: bool) -> object:
        agent = prototype.deep_copy()
        return (await agent.arun(MESSAGE.text)).content if run else None

    return make


def _naive(answers: Answers) -> Variant:
    model = FunctionModel(answers)

    async def make(run: bool) -> object:
        agent = pydantic_ai_agent(model, Person("ada"))
        return (await agent.run(MESSAGE.text)).output if run else None

    return make


async def measure() -> tuple[dict[str, float], dict[str, float]]:
    """Return the median microseconds of each variant: to make the agent, and to make and run it."""
    answers, stub = Answers(), AgnoStub(id="stub")
    async with opened_container() as container:
        variants = {
            OURS: _ours(container, answers),
            AGNO: _agno(stub),
            AGNO_COPY: _agno_copy(stub),
            NAIVE: _naive(answers),
        }
        for name, variant in variants.items():
            answers.shown = stub.shown = ()
            assert await variant(True) == "Nothing.", name
            shown = answers.shown or stub.shown
            assert len(shown) == len(TOOL_NAMES), name
            assert set(shown) == TOOL_NAMES, name
        made, run = (
            {name: (repeat(partial(variant, run)), TIMES[name]) for name, variant in variants.items()}
            for run in (False, True)
        )
        return (
            await in_turn(made, rounds=ROUNDS, clock=time.process_time_ns),
            await in_turn(run, rounds=ROUNDS // 4, clock=time.process_time_ns),
        )


def figures(made: dict[str, float], run: dict[str, float]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    return {
        "P2 agent": within(made[OURS], made[NAIVE], "us", at_most=60),
        "P2 agent, against agno's deep_copy": against(made[OURS], made[AGNO_COPY], "us", at_most=1 / 20),
        "P2 agent, against agno's fresh one": against(made[OURS], made[AGNO], "us", at_most=1.0),
        "P2 agent and a run, against agno's deep_copy": against(run[OURS], run[AGNO_COPY], "us", at_most=1.0),
    }


def main() -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    made, run = asyncio.run(measure())
    show("one agent, 4 toolkits of 10 tools, us", {"made": made, "made and run": run}, digits=1)
    found = figures(made, run)
    show_figures(found)
    return found


if __name__ == "__main__":
    main()
