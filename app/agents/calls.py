"""The tool calls of a model: checked, run at the same time, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from pydantic import ValidationError
from pydantic_ai import DeferredToolRequests, DeferredToolResults, ModelRetry, RunContext, ToolDenied
from pydantic_ai.exceptions import ApprovalRequired, IncompleteToolCall, ToolFailed, UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    RetryInfo,
    ToolCallPart,
    ToolRetryCause,
    ToolReturn,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model

from app.agents.budget import Budget
from app.agents.listening import Listener, ToolState, ToolUsed
from app.supervisor import cancel
from app.toolkits.toolkit import ToolSpec

RETRIES = 1  # how often in a row a model may call a tool wrongly, or answer with nothing

T = TypeVar("T")


class Tools(Protocol):
    """The tools of one person, as the loop needs them."""

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all tools, sorted."""
        ...

    def spec(self, name: str) -> ToolSpec | None:
        """Return a tool; None for an unknown name."""
        ...

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run a tool with valid arguments.

        Raises:
            ApprovalRequired: The person has to be asked first.
            ToolFailed: The tool failed, with the reason for the model.
            ModelRetry: The model should call it differently.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A call and the context it runs in.

    Attributes:
        arguments: None if they are not valid, or the person refused the call …
        refusal: … and then this is the call's result.
    """

    call: ToolCallPart = field(repr=False)
    context: RunContext[None] = field(repr=False)
    arguments: dict[str, Any] | None = field(default=None, repr=False)
    refusal: ToolReturnPart | None = field(default=None, repr=False)


class Calls:
    """Runs the calls of a model's responses. Lives for one run.

    Args:
        model: The model that calls.
        tools: The person's tools.
        budget: The calls that are left; those that succeed count.
        history: Earlier turns, which a tool can look at.
        turn: The messages of the turn so far, which a tool can look at; the response is the last one.
        listener: Notified of each call as it begins and ends.
    """

    def __init__(
        self,
        model: Model,
        tools: Tools,
        budget: Budget,
        history: Sequence[ModelMessage],
        turn: list[ModelMessage],
        listener: Listener | None,
    ) -> None:
        self._model = model
        self._tools = tools
        self._budget = budget
        self._history = history
        self._turn = turn
        self._listener = listener
        self._wrong_calls: dict[str, int] = {}  # by tool, how often in a row it was called wrongly

    async def run(
        self, calls: Sequence[ToolCallPart], answers: DeferredToolResults | None = None
    ) -> tuple[list[ModelRequestPart], DeferredToolRequests | None]:
        """Run calls at the same time; return their results and what the model is shown beside, and those that wait.

        Args:
            calls: The calls.
            answers: The person's answers, if these calls have waited for them.

        Raises:
            AgentRunError: A limit was reached, or the model called a tool wrongly again.
        """
        if len({call.tool_call_id for call in calls}) < len(calls):
            raise UnexpectedModelBehavior("several tool calls have the same id")
        self._budget.take_calls(len(calls))
        prepared = [self._prepare(call, answers) for call in calls]
        outcomes = await _all([self._call(each) for each in prepared])
        waiting = DeferredToolRequests()
        results: list[ModelRequestPart] = []
        beside: list[ModelRequestPart] = []
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, ApprovalRequired):
                waiting.approvals.append(call)
                waiting.metadata[call.tool_call_id] = outcome.metadata or {}
            else:
                results.append(outcome[0])
                beside += outcome[1:]
        returned = [part for part in results if isinstance(part, ToolReturnPart)]
        self._budget.return_calls(len(calls) - sum(part.outcome == "success" for part in returned))
        self._count_wrong_calls(returned)
        return [*results, *beside], waiting if waiting.approvals else None

    def _prepare(self, call: ToolCallPart, answers: DeferredToolResults | None) -> _Prepared:
        """Check a call's arguments, and what the person has said about it."""
        if self._listener is not None:
            self._listener.tell(ToolUsed(call.tool_name, ToolState.STARTED))
        approval = answers.approvals[call.tool_call_id] if answers else None
        context = RunContext(
            deps=None,
            model=self._model,
            usage=self._budget.usage,
            messages=[*self._history, *self._turn],
            tool_name=call.tool_name,
            tool_call_id=call.tool_call_id,
            retry=self._wrong_calls.get(call.tool_name, 0),
            max_retries=RETRIES,
            tool_call_approved=approval is not None,
            tool_call_metadata=answers.metadata.get(call.tool_call_id) if answers else None,
        )
        if isinstance(approval, ToolDenied):
            return _Prepared(call, context, refusal=_result(call, approval.message, "denied"))
        spec = self._tools.spec(call.tool_name)
        if spec is None:
            known = ", ".join(repr(name) for name in self._tools.names) or "none"
            said = f"Unknown tool name: {call.tool_name!r}. Available tools: {known}"
            return _Prepared(call, context, refusal=self._retried(call, said, "unknown_tool"))
        try:
            if isinstance(call.args, str):
                arguments = spec.validator.validate_json(call.args or "{}")
            else:
                arguments = spec.validator.validate_python(call.args or {})
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
            return _Prepared(call, context, refusal=self._retried(call, details, "validation_error"))
        return _Prepared(call, context, arguments)

    async def _call(self, prepared: _Prepared) -> list[ModelRequestPart] | ApprovalRequired:
        """Run a call; return its result first and what belongs beside it after, or the reason why it has to wait."""
        call, result = prepared.call, prepared.refusal
        beside: list[ModelRequestPart] = []
        if prepared.arguments is not None:
            try:
                returned = await self._tools.call_tool(call.tool_name, prepared.arguments, prepared.context)
            except ApprovalRequired as waits:
                return waits.with_traceback(None)
            except ToolFailed as error:
                result = _result(call, error.message, "failed")
            except ModelRetry as error:
                result = self._retried(call, error.message, "model_retry")
            else:
                result, beside = _returned(call, returned)
        assert result is not None
        if self._listener is not None:
            state = ToolState.DONE if result.outcome == "success" else ToolState.FAILED
            self._listener.tell(ToolUsed(call.tool_name, state))
        return [result, *beside]

    def _retried(self, call: ToolCallPart, content: Any, cause: ToolRetryCause) -> ToolReturnPart:
        """Return the result of a call that the model has to make differently.

        Raises:
            UnexpectedModelBehavior: It got the same tool wrong in its last response too.
        """
        before = self._wrong_calls.get(call.tool_name, 0)
        if before >= RETRIES:
            if self._turn and isinstance(last := self._turn[-1], ModelResponse) and last.finish_reason == "length":
                raise IncompleteToolCall("the output limit was reached within a tool call")
            raise UnexpectedModelBehavior(f"the tool {call.tool_name!r} was called wrongly too often")
        info = RetryInfo(cause=cause, attempt=before + 1, max_retries=RETRIES)
        return ToolReturnPart(call.tool_name, content, call.tool_call_id, outcome="retried", retry=info)

    def _count_wrong_calls(self, results: Sequence[ToolReturnPart]) -> None:
        wrong = {result.tool_name for result in results if result.outcome == "retried"}
        for result in results:
            if result.outcome == "success":
                self._wrong_calls.pop(result.tool_name, None)
        for name in wrong:
            self._wrong_calls[name] = self._wrong_calls.get(name, 0) + 1


async def _all(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of these calls, which run at the same time; if one raises, cancel the others."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel(tasks)
        tasks.clear()  # the traceback of an error holds this frame, and a task holds its error


def _returned(call: ToolCallPart, value: Any) -> tuple[ToolReturnPart, list[ModelRequestPart]]:
    """Return a tool's result, and what the model is shown beside it, such as an image."""
    if not isinstance(value, ToolReturn):
        return _result(call, value, "success"), []
    result = ToolReturnPart(call.tool_name, value.return_value, call.tool_call_id, metadata=value.metadata)
    return result, [UserPromptPart(value.content)] if value.content else []


def _result(call: ToolCallPart, content: Any, outcome: Literal["success", "failed", "denied"]) -> ToolReturnPart:
    return ToolReturnPart(call.tool_name, content, call.tool_call_id, outcome=outcome)
