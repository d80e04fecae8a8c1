"""An agent written for agno, with a model that calls the tool that a message names."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.team import Team
from agno.tools import Toolkit
from agno.tools.file import FileTools
from agno.workflow import Workflow

from app.principal import Principal

BORN: list[weakref.ref[Any]] = []
PAID: list[str] = []


class Bank(Toolkit):
    """One person's account."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        BORN.append(weakref.ref(self))
        super().__init__(name="bank", tools=[self.whoami, self.pay])

    def whoami(self) -> str:
        """Return the owner."""
        return self.owner

    def pay(self, amount: int) -> str:
        """Pay an amount.

        Args:
            amount: How much.
        """
        PAID.append(f"{self.owner} paid {amount}")
        return PAID[-1]


@dataclass
class Echo(Model):
    """Calls the tool that the message names, and repeats its result."""

    id: str = "echo"

    def reply(self, messages: list[Any], **_: Any) -> ModelResponse:
        last = messages[-1]
        if last.role == "tool":
            return ModelResponse(role="assistant", content=f"done: {last.content}")
        name, *values = str(last.content).split()
        if name not in ("whoami", "pay"):
            return ModelResponse(role="assistant", content=f"{sum(each.role == 'user' for each in messages)} messages")
        arguments = json.dumps({"amount": int(values[0])} if values else {})
        call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
        return ModelResponse(role="assistant", tool_calls=[call])

    def invoke(self, messages: list[Any], **options: Any) -> ModelResponse:
        return self.reply(messages)

    async def ainvoke(self, messages: list[Any], **options: Any) -> ModelResponse:
        return self.reply(messages)

    def invoke_stream(self, messages: list[Any], **options: Any) -> Iterator[ModelResponse]:
        yield self.reply(messages)

    async def ainvoke_stream(self, messages: list[Any], **options: Any) -> Any:
        yield self.reply(messages)

    def _parse_provider_response(self, response: Any, **options: Any) -> Any:
        return response

    def _parse_provider_response_delta(self, response: Any) -> Any:
        return response


def build(principal: Principal) -> Agent:
    """Return a person's agent."""
    agent = Agent(name="bank", model=Echo(), tools=[Bank(principal.user)])
    BORN.append(weakref.ref(agent))
    return agent


shared = Agent(name="bank", model=Echo(), tools=[Bank("everybody")])


def give_shared(principal: Principal) -> Agent:
    """Return the agent that everybody shares."""
    return shared


def greedy(everything: dict[str, str]) -> Agent:
    """Ask for a parameter that no provider fits."""
    return Agent()


class Listening(Bank):
    """Takes its account from the environment, and fails without one."""

    def __init__(self) -> None:
        super().__init__(os.environ["BANK_TOKEN"])


def from_environment(principal: Principal) -> Agent:
    """Return a person's agent with everybody's account; it may read the model's key from the environment."""
    os.environ["MODEL_API_KEY"]
    return Agent(model=Echo(), tools=[Listening()])


def with_files(principal: Principal) -> Agent:
    """Return an agent with tools for the server's files."""
    return Agent(model=Echo(), tools=[FileTools()])


def build_team(principal: Principal) -> Team:
    """Return a team, whose members agno would run."""
    return Team(members=[build(principal)])


team = Team(members=[])
workflow = Workflow(name="bank")


class Ledger(Bank):
    """A bank that has a book."""

    def __init__(self, owner: str, book: dict[str, Any]) -> None:
        self.book = book
        super().__init__(owner)

    def look(self) -> str:
        """Return the book."""
        return str(self.book)


BOOK: dict[str, Any] = {}
MODEL = Echo()
LEDGER = Ledger("everybody", BOOK)


def with_one_model(principal: Principal) -> Agent:
    """Return a person's agent with a model that everybody shares."""
    return Agent(model=MODEL, tools=[Bank(principal.user)])


def with_one_state(principal: Principal) -> Agent:
    """Return a person's agent with a state that everybody shares."""
    return Agent(model=Echo(), session_state=BOOK, tools=[Bank(principal.user)])


def with_one_book(principal: Principal) -> Agent:
    """Return a person's agent, whose toolkit has a book that everybody shares."""
    return Agent(model=Echo(), tools=[Ledger(principal.user, BOOK)])


def with_one_method(principal: Principal) -> Agent:
    """Return a person's agent with a tool that is a method of an object that everybody shares."""
    return Agent(model=Echo(), tools=[Bank(principal.user), LEDGER.look])


def with_one_variable(principal: Principal) -> Agent:
    """Return a person's agent with a tool that encloses a book that everybody shares."""
    book = BOOK

    def look() -> str:
        """Return the book."""
        return str(book)

    return Agent(model=Echo(), tools=[Bank(principal.user), look])
