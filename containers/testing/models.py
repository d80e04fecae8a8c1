"""Models whose answers a test determines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from dependency_injector import providers
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from containers.application import Application


def call(name: str, call_id: str, **arguments: Any) -> ToolCallPart:
    """Return a tool call for a scripted model."""
    return ToolCallPart(name, arguments, tool_call_id=call_id)


def scripted(*steps: Sequence[ToolCallPart]) -> FunctionModel:
    """Return a model that answers each message with these calls, step by step, and then repeats their results."""

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

    return _model(answer)


def answering(text: Callable[[list[ModelMessage]], Awaitable[str]]) -> FunctionModel:
    """Return a model that computes its answer from the messages."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(await text(messages))])

    return _model(answer)


def prompts(messages: Sequence[ModelMessage]) -> list[str]:
    """Return the texts that people sent, in order."""
    return [str(part.content) for message in messages for part in message.parts if isinstance(part, UserPromptPart)]


def use_model(container: Application, model: Model) -> None:
    """Replace every configured model with this one; call it before the container has answered anything."""
    for provider in container.models.providers.values():
        provider.override(providers.Object(model))


def _model(answer: Callable[[list[ModelMessage], AgentInfo], Awaitable[ModelResponse]]) -> FunctionModel:
    """Return a model with these answers, for channels that show an answer while it is written too."""

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        for number, part in enumerate((await answer(messages, info)).parts):
            if isinstance(part, TextPart):
                yield part.content
            elif isinstance(part, ToolCallPart):
                yield {number: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}

    return FunctionModel(answer, stream_function=stream)


def _is_prompt(message: ModelMessage) -> bool:
    return isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)
