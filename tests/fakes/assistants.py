"""Assistants to test with: a toolkit that records, credentials that can be told what to say, models with a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.credentials.credentials import Credentials
from app.errors import ConsentRequiredError
from app.principal import Principal
from app.toolkits.toolkit import Effect, Toolkit, tool
from tests.fakes.sandbox import READ, SEND


@dataclass
class Post:
    """What the letters of all people do.

    Attributes:
        done: Whose tool did what: ``("ada", "send", {"to": …})``.
        before: Awaited before a tool does its work, with the person's name and the tool's.
    """

    done: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    before: Callable[[str, str], Awaitable[None]] | None = None

    async def do(self, principal: Principal, name: str, **arguments: Any) -> None:
        """Record one call."""
        if self.before is not None:
            await self.before(principal.user, name)
        self.done.append((principal.user, name, arguments))

    def names(self, user: str) -> list[str]:
        """The tools that did something for this person, in order."""
        return [name for who, name, _ in self.done if who == user]


class Letters(Toolkit):
    """One person's letters."""

    name = "letters"

    def __init__(self, principal: Principal, post: Post) -> None:
        self._principal = principal
        self._post = post

    @tool(oauth_scopes=(READ,))
    async def read(self) -> str:
        """Read the newest letter."""
        await self._post.do(self._principal, "read")
        return f"a letter to {self._principal.user}"

    @tool(effect=Effect.ACT, oauth_scopes=(SEND,))
    async def send(self, to: str, text: str = "") -> str:
        """Send a letter."""
        await self._post.do(self._principal, "send", to=to, text=text)
        return f"sent to {to}"

    @tool(effect=Effect.ACT, oauth_scopes=())
    async def shout(self, text: str, volume: float = 1.0, notes: dict[str, Any] | None = None) -> str:
        """Say something to everybody."""
        await self._post.do(self._principal, "shout", text=text, volume=volume, notes=notes)
        return f"shouted {text}"

    @tool(oauth_scopes=())
    async def clock(self) -> str:
        """Tell the time."""
        await self._post.do(self._principal, "clock")
        return "noon"


class FakeCredentials(Credentials):
    """Credentials that have what a test says, and record what was asked of them.

    Attributes:
        granted: The OAuth scopes that the person granted.
        failure: Raised by every `ensure` that asks for a scope.
        asked: The scopes of each `ensure`.
    """

    def __init__(self, principal: Principal, *granted: str) -> None:
        self._principal = principal
        self.granted = set(granted)
        self.failure: Exception | None = None
        self.asked: list[frozenset[str]] = []

    async def ensure(self, oauth_scopes: frozenset[str]) -> None:
        """Return when all scopes are granted."""
        self.asked.append(oauth_scopes)
        await asyncio.sleep(0)
        if oauth_scopes and self.failure is not None:
            raise self.failure
        if missing := oauth_scopes - self.granted:
            raise ConsentRequiredError(self._principal, missing)


def call(name: str, call_id: str, **arguments: Any) -> ToolCallPart:
    """A tool call of a scripted model."""
    return ToolCallPart(name, arguments, tool_call_id=call_id)


def scripted(*steps: Sequence[ToolCallPart]) -> FunctionModel:
    """A model that answers each message with these calls, one step after the other, and then says what came back."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        prompted = max(number for number, message in enumerate(messages) if _is_prompt(message))
        turn = messages[prompted:]
        step = sum(isinstance(message, ModelResponse) for message in turn)
        if step < len(steps):
            return ModelResponse(parts=list(steps[step]))
        returns = [part for message in turn for part in message.parts if isinstance(part, ToolReturnPart)]
        return ModelResponse(
            parts=[TextPart("; ".join(f"{part.tool_name}: {part.content}" for part in returns) or "ok")]
        )

    return FunctionModel(answer)


def answering(text: Callable[[list[ModelMessage]], Awaitable[str]]) -> FunctionModel:
    """A model that makes its answer out of the messages."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(await text(messages))])

    return FunctionModel(answer)


def prompts(messages: Sequence[ModelMessage]) -> list[str]:
    """What people said, in order."""
    return [str(part.content) for message in messages for part in message.parts if isinstance(part, UserPromptPart)]


def _is_prompt(message: ModelMessage) -> bool:
    return isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)
