"""The embedded default model as pydantic-ai knows models."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings

from app.llm.offline import MODEL_NAME, reply


class OfflineModel(Model[None]):
    """The offline model. Without state, so one instance serves every person for the life of the process.

    It is no `FunctionModel`, because importing that takes a thirtieth of a server's start.
    """

    _profile = ModelProfile(supports_image_input=False, supports_document_input=False)

    def __init__(self) -> None:
        """Skip the base class's constructor, which reads the prices of all providers' models."""

    @property
    def model_name(self) -> str:
        """The name in the settings."""
        return MODEL_NAME

    @property
    def system(self) -> str:
        """The name of its provider; it has none, so its own."""
        return MODEL_NAME

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer to the last of the messages."""
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        return ModelResponse(parts=[reply(messages, parameters.declared_function_tools)], model_name=MODEL_NAME)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Yield the same answer word by word."""
        del run_context
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        yield _Stream(parameters, reply(messages, parameters.declared_function_tools))


class _Stream(StreamedResponse):
    """An answer that is written word by word; lives for one request."""

    def __init__(self, parameters: ModelRequestParameters, part: TextPart | ToolCallPart) -> None:
        super().__init__(parameters)
        self._part = part
        self._timestamp = datetime.now(UTC)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        part = self._part
        if isinstance(part, ToolCallPart):
            call = part.args_as_json_str()
            for event in self._parts_manager.handle_tool_call_delta_events(
                vendor_part_id=0, tool_name=part.tool_name, args=call, tool_call_id=part.tool_call_id
            ):
                yield event
            return
        for word in re.findall(r"\s*\S+\s*", part.content):
            for event in self._parts_manager.handle_text_delta(vendor_part_id=0, content=word):
                yield event

    async def close_stream(self) -> None:
        """Do nothing: no connection is open."""

    @property
    def model_name(self) -> str:
        """The model's name."""
        return MODEL_NAME

    @property
    def provider_name(self) -> None:
        """None: it has no provider."""

    @property
    def provider_url(self) -> None:
        """None: it has no provider."""

    @property
    def timestamp(self) -> datetime:
        """When the answer was begun."""
        return self._timestamp
