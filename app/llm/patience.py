"""A model wrapper that copes with conversations that are too long and answers that cannot be read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from app.frames import frames_emptied
from app.llm.faults import UNREADABLE, ModelFault, OddAnswerError, model_fault


class PatientModel(WrapperModel):
    """Asks a model on behalf of one run, and lives as long as the run.

    If the model says that the conversation is too long, the oldest turns are left out and the same step is asked
    again, so no tool runs twice. Errors that the library raises about an odd answer, such as an `IndexError`, are
    kept apart from our own mistakes.

    Attributes:
        left_out: How many of the oldest turns were not shown to the model.
    """

    def __init__(self, wrapped: Model) -> None:
        super().__init__(wrapped)
        self.left_out = 0

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the model, with as many turns as it accepts."""
        while True:
            shown = _without(messages, self.left_out)
            try:
                with readable(self.model_name), frames_emptied():
                    return await super().request(shown, model_settings, model_request_parameters)
            except AgentRunError as error:
                if not self._leave_more_out(messages, error):
                    raise

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Ask the model for a stream, with as many turns as it accepts."""
        async with AsyncExitStack() as stack:
            stream: StreamedResponse | None = None
            while stream is None:
                shown = _without(messages, self.left_out)
                opening = super().request_stream(shown, model_settings, model_request_parameters, run_context)
                try:
                    with readable(self.model_name), frames_emptied():
                        stream = await stack.enter_async_context(opening)
                except AgentRunError as error:
                    if not self._leave_more_out(messages, error):
                        raise
            with readable(self.model_name), frames_emptied():
                yield stream

    def _leave_more_out(self, messages: list[ModelMessage], error: AgentRunError) -> bool:
        """Leave out half of the turns that are still shown; return False if that would not help."""
        shown = len(_turn_starts(messages)) - self.left_out
        if model_fault(error) is not ModelFault.TOO_LONG or shown < 2:
            return False
        self.left_out += max(1, shown // 2)
        return True


@contextmanager
def readable(model_name: str) -> Iterator[None]:
    """Translate the errors that libraries raise about an odd answer.

    Raises:
        OddAnswerError: The answer could not be read.
    """
    try:
        yield
    except UNREADABLE as error:
        raise OddAnswerError(model_name, f"the answer cannot be read ({type(error).__name__})") from None
    except Exception as error:
        if isinstance(error, (AgentRunError, UserError)) or not hasattr(error, "body"):
            raise
        # An error inside a stream, which the SDK raises as its own: its text may repeat what the person wrote.
        raise OddAnswerError(model_name, f"the answer is an error ({type(error).__name__})") from None


def _turn_starts(messages: list[ModelMessage]) -> list[int]:
    """Return the positions at which turns begin: the person's messages."""
    return [
        position
        for position, message in enumerate(messages)
        if isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)
    ]


def _without(messages: list[ModelMessage], turns: int) -> list[ModelMessage]:
    """Return the messages without the oldest turns; the last turn always stays."""
    starts = _turn_starts(messages)
    return messages[starts[min(turns, len(starts) - 1)] :] if turns and starts else messages
