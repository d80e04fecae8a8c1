"""A model for tests: the offline one, which can also wait, repeat and remember."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from app.llm.offline import reply
from containers.testing import use_model

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import AgentInfo

    from containers.application import Application


class ScriptedModel:
    """Obeys ``wait`` (until the gate is open), ``repeat WORDS``, ``slowly WORDS``, ``search WORDS`` and ``recall``.

    Otherwise it is the offline model. Where words are shown as they are written, ``slowly`` gives its first word at
    once and the others once the gate is open; ``search`` gives its words, and then what it finds in the mailbox.

    Attributes:
        gate: The gate that ``wait`` waits for; closed at first.
        begun: The prompt of every run that began, in order.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[str] = []

    def install(self, container: Application) -> None:
        """Answer in place of every configured model."""
        use_model(container, FunctionModel(self._answer, stream_function=self._stream))

    async def _stream(
        self, messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        """Stream the same answers, for a channel that shows answers while they are written."""
        prompt = _prompts(messages)[-1]
        command, _, words = prompt.partition(" ")
        if command == "slowly":
            self.begun.append(prompt)
            first, _, rest = words.partition(" ")
            yield first
            await self.gate.wait()
            yield f" {rest}"
            return
        if command == "search" and _is_begun(messages):
            self.begun.append(f"search {words}")
            yield words
            await self.gate.wait()
            yield {0: DeltaToolCall("gmail_search", '{"query": "is:unread"}', tool_call_id="search")}
            return
        for part in (await self._answer(messages, info)).parts:
            if isinstance(part, TextPart):
                yield part.content
            elif isinstance(part, ToolCallPart):
                yield {0: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}

    async def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        prompts = _prompts(messages)
        command, _, words = prompts[-1].partition(" ")
        if _is_begun(messages):
            self.begun.append(prompts[-1])
        if command == "wait":
            await self.gate.wait()
            return ModelResponse(parts=[TextPart(f"waited {words}")])
        if command == "slowly":
            await self.gate.wait()
        if command in ("repeat", "slowly"):
            return ModelResponse(parts=[TextPart(words)])
        if command == "recall":
            return ModelResponse(parts=[TextPart(" | ".join(prompts[:-1]) or "nothing")])
        return ModelResponse(parts=[reply(messages, info.function_tools)])


def _is_begun(messages: list[ModelMessage]) -> bool:
    """Return whether a run has just begun."""
    return len(messages[-1].parts) == 1 and isinstance(messages[-1].parts[0], UserPromptPart)


def _prompts(messages: list[ModelMessage]) -> list[str]:
    """Return the person's messages, in order."""
    return [
        part.content
        for message in messages
        for part in message.parts
        if isinstance(part, UserPromptPart) and isinstance(part.content, str)
    ]
