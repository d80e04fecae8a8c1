"""The loop between a model and a person's tools, over pydantic-ai's models and messages (docs/decisions/0014)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic_ai import DeferredToolRequests, DeferredToolResults
from pydantic_ai.exceptions import ContentFilterError, OutputTokenLimitExceeded, UnexpectedModelBehavior, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    NativeToolCallPart,
    RetryFeedbackCause,
    RetryFeedbackPart,
    RetryInfo,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
    repair_messages,
)
from pydantic_ai.models import Model, ModelRequestParameters

from app.agents.budget import Budget
from app.agents.calls import RETRIES, Calls, Tools
from app.agents.listening import Listener, TextWritten, text_of


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run.

    Attributes:
        turn: The messages of the turn, those of its earlier runs included.
        output: The answer, or the calls that wait for the person.
    """

    turn: list[ModelMessage] = field(repr=False)
    output: str | DeferredToolRequests = field(repr=False)


class Loop:
    """Asks a model and runs the tools that it calls, until it answers or a call has to wait. Lives for one run.

    Args:
        model: The model to ask.
        tools: The person's tools.
        asking: Returns the tools' definitions and the instructions for the model's next request.
        budget: The requests and tool calls that are left.
        history: Earlier turns.
        turn: The messages that earlier runs have added to this turn.
        listener: Notified of progress; the model is asked to stream only if there is one.
        is_public: Returns whether anybody may read what the model writes after this turn so far; by default nobody may.
    """

    def __init__(
        self,
        model: Model,
        tools: Tools,
        asking: Callable[[], ModelRequestParameters],
        budget: Budget,
        history: Sequence[ModelMessage],
        turn: Sequence[ModelMessage] = (),
        listener: Listener | None = None,
        is_public: Callable[[Sequence[ModelMessage]], bool] = lambda _: False,
    ) -> None:
        self._model = model
        self._is_public = is_public
        self._asking = asking
        self._budget = budget
        self._history = history
        self._turn = [*turn]
        self._listener = listener
        self._calls = Calls(model, tools, budget, history, self._turn, listener)
        self._empty_answers = 0

    async def answer(self, prompt: str | Sequence[UserContent]) -> RunEnd:
        """Begin a turn with what the person wrote.

        Raises:
            AgentRunError: The model failed, gave no usable answer, or a limit was reached.
        """
        self._add(UserPromptPart(prompt))
        return await self._ask_on()

    async def resume(self, results: DeferredToolResults) -> RunEnd:
        """Continue a turn that stopped, with the person's answers to the calls that waited.

        Raises:
            AgentRunError: The model failed, gave no usable answer, or a limit was reached.
            UserError: A call that waited has no answer.
        """
        response, done = _unfinished(self._turn)
        calls = [call for call in response.tool_calls if call.tool_call_id not in done]
        if unanswered := {call.tool_call_id for call in calls} ^ results.approvals.keys():
            raise UserError(f"{len(unanswered)} calls and answers do not fit each other")
        waiting = await self._call(calls, results)
        return RunEnd(self._turn, waiting) if waiting else await self._ask_on()

    async def _ask_on(self) -> RunEnd:
        while True:
            response = await self._ask()
            if calls := response.tool_calls:
                if waiting := await self._call(calls):
                    return RunEnd(self._turn, waiting)
            elif text := _answer_in(response):
                return RunEnd(self._turn, text)
            else:
                self._ask_for_an_answer(response)

    async def _ask(self) -> ModelResponse:
        """Ask the model with all that was said, and add its response to the turn."""
        self._budget.take_request()
        asking = self._asking()
        messages = self._model.prepare_messages(repair_messages([*self._history, *self._turn]), asking)
        if self._listener is None:
            response = await self._model.request(messages, self._model.settings, asking)
        else:
            public = self._is_public(self._turn)
            async with self._model.request_stream(messages, self._model.settings, asking) as stream:
                async for event in stream:
                    if text := text_of(event):
                        self._listener.tell(TextWritten(text, public))
            response = stream.get()
        if (
            response.state == "suspended"
        ):  # a provider pauses for tools of its own, or in the background: we use neither
            raise UnexpectedModelBehavior("the model paused in the middle of its answer")
        self._budget.usage.incr(response.usage)
        self._turn.append(response)
        return response

    def _ask_for_an_answer(self, response: ModelResponse) -> None:
        """Ask once more after a response with nothing to show or to do.

        Raises:
            UnexpectedModelBehavior: That would not help, or was tried already.
        """
        if response.finish_reason == "length":
            raise OutputTokenLimitExceeded("the output limit was reached before any answer")
        if response.finish_reason == "content_filter":
            raise ContentFilterError("the content filter left no answer")
        self._empty_answers += 1
        if self._empty_answers > RETRIES:
            raise UnexpectedModelBehavior("the model answered with nothing")
        wanted = "Please return text or call a tool." if self._asking().function_tools else "Please return text."
        cause: RetryFeedbackCause = "no_output"
        info = RetryInfo(cause, attempt=self._empty_answers, max_retries=RETRIES)
        self._add(RetryFeedbackPart(wanted, retry=info))

    async def _call(
        self, calls: Sequence[ToolCallPart], answers: DeferredToolResults | None = None
    ) -> DeferredToolRequests | None:
        """Run calls, add their results to the turn, and return those that have to wait for the person."""
        parts, waiting = await self._calls.run(calls, answers)
        if parts:
            self._add(*parts)
        return waiting

    def _add(self, *parts: ModelRequestPart) -> None:
        self._turn.append(ModelRequest([*parts], timestamp=datetime.now(UTC)))


def _unfinished(turn: Sequence[ModelMessage]) -> tuple[ModelResponse, set[str]]:
    """Return the last response of a turn, and the ids of its calls that have a result."""
    done: set[str] = set()
    for message in reversed(turn):
        if isinstance(message, ModelResponse):
            return message, done
        done |= {part.tool_call_id for part in message.parts if isinstance(part, ToolReturnPart)}
    raise UserError("the turn has no response to continue from")


def _answer_in(response: ModelResponse) -> str:
    """Return the text of a response; what precedes a call of the provider's own tools is only thinking aloud."""
    text = earlier = ""
    for part in response.parts:
        if isinstance(part, TextPart):
            text += part.content
        elif isinstance(part, NativeToolCallPart):
            earlier, text = text or earlier, ""
    return text or earlier
