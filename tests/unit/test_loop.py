"""The loop between a model and tools: wrong calls, concurrent calls, and the progress that a reader hears."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pydantic_ai import DeferredToolRequests, DeferredToolResults, ModelRetry, RunContext, ToolReturn, UsageLimits
from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    IncompleteToolCall,
    OutputTokenLimitExceeded,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    NativeToolCallPart,
    RetryFeedbackPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app.agents.budget import Budget
from app.agents.listening import Progress, TextWritten, ToolState, ToolUsed
from app.agents.loop import Loop, RunEnd
from app.toolkits.toolkit import Toolkit, tool
from containers.testing import call
from tests.fakes.bare_loop import BareTools


class Desk(Toolkit):
    """Tools that succeed, wait, fail, ask for another call, and return words of a picture besides the result."""

    name = "desk"

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.open = asyncio.Event()

    @tool(oauth_scopes=())
    async def count(self, number: int) -> int:
        """Count."""
        self.begun.append("count")
        return number

    @tool(oauth_scopes=())
    async def meet(self) -> str:
        """Wait for the other call of this response."""
        self.begun.append("meet")
        if self.begun.count("meet") == 2:
            self.open.set()
        await self.open.wait()
        return "met"

    @tool(oauth_scopes=())
    async def wait(self) -> str:
        """Wait for ever."""
        self.begun.append("wait")
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("wait")
        return "never"

    @tool(oauth_scopes=())
    async def crash(self) -> str:
        """Fail once the other call has begun."""
        while "wait" not in self.begun:
            await asyncio.sleep(0)
        raise UserError("crashed")

    @tool(oauth_scopes=())
    async def recall(self, ctx: RunContext[None]) -> list[str]:
        """Return what the person has said so far."""
        parts = [part for message in ctx.messages for part in message.parts if isinstance(part, UserPromptPart)]
        return [str(part.content) for part in parts]

    @tool(oauth_scopes=())
    async def nag(self) -> str:
        """Ask for another call."""
        raise ModelRetry("say please")

    @tool(oauth_scopes=())
    async def show(self) -> Any:
        """Return something to look at."""
        return ToolReturn("shown", content=["what it shows"], metadata={"seen": True})


class Script:
    """A model that gives these responses in order and records what it was shown."""

    def __init__(self, *responses: Sequence[ModelResponsePart], finish_reason: FinishReason | None = None) -> None:
        self.shown: list[list[ModelMessage]] = []
        self._responses = iter(responses)
        self._finish_reason = finish_reason
        self.model = FunctionModel(self._answer)

    async def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.shown.append(messages)
        return ModelResponse(parts=list(next(self._responses)), finish_reason=self._finish_reason)


def loop_of(script: Script, desk: Desk | None = None, turn: Sequence[ModelMessage] = ()) -> Loop:
    """Return a loop with a desk's tools."""
    asking = ModelRequestParameters(function_tools=[spec.definition for spec in Desk.tools().values()])
    return Loop(script.model, BareTools(desk or Desk()), lambda: asking, Budget(UsageLimits()), [], turn)


async def run(script: Script, desk: Desk | None = None) -> RunEnd:
    """Run a conversation to its end and return the outcome."""
    return await loop_of(script, desk).answer("go")


def results(ended: RunEnd) -> list[ToolReturnPart]:
    """Return every result of a call in a turn."""
    return [part for message in ended.turn for part in message.parts if isinstance(part, ToolReturnPart)]


DONE = [TextPart("done")]


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (call("desk_count", "1", number="x"), "validation_error"),
        (ToolCallPart("desk_count", '{"number": ', "1"), "validation_error"),
        (call("desk_missing", "1"), "unknown_tool"),
        (call("desk_nag", "1"), "model_retry"),
    ],
)
async def test_a_wrong_call_is_told_once(wrong: ToolCallPart, cause: str) -> None:
    """The model may try again after a wrong call, and a second wrong call in a row ends the run."""
    ended = await run(Script([wrong], DONE))
    (result,) = results(ended)

    assert (ended.output, result.outcome, result.retry and result.retry.cause) == ("done", "retried", cause)
    with pytest.raises(UnexpectedModelBehavior, match="too often"):
        await run(Script([wrong], [wrong]))


async def test_a_right_call_between_wrong_ones_forgives_the_first() -> None:
    """A right call in between resets the count of wrong calls."""
    wrong, right = call("desk_count", "1", number="x"), call("desk_count", "2", number=2)
    script = Script([wrong], [right], [call("desk_count", "3", number="x")], DONE)

    assert (await run(script)).output == "done"


async def test_a_call_that_is_wrong_again_keeps_the_others_from_running() -> None:
    """No call of a response begins if one of them ends the run by being wrong again."""
    desk = Desk()
    wrong = call("desk_missing", "1")
    with pytest.raises(UnexpectedModelBehavior):
        await run(Script([wrong], [call("desk_count", "2", number=2), call("desk_missing", "3")]), desk)

    assert desk.begun == []


async def test_a_call_that_was_cut_says_so() -> None:
    """If the output limit cuts the arguments twice, the error says so."""
    cut = ToolCallPart("desk_count", '{"num', "1")
    with pytest.raises(IncompleteToolCall):
        await run(Script([cut], [cut], finish_reason="length"))


@pytest.mark.parametrize("nothing", [[], [TextPart("")], [ThinkingPart("hm")]])
async def test_an_empty_answer_is_asked_about_once(nothing: list[ModelResponsePart]) -> None:
    """The model is asked again after an empty answer, and a second one in a run ends the run."""
    ended = await run(Script(nothing, DONE))

    assert ended.output == "done"
    assert any(isinstance(part, RetryFeedbackPart) for message in ended.turn for part in message.parts)
    with pytest.raises(UnexpectedModelBehavior, match="with nothing"):
        await run(Script(nothing, nothing))


@pytest.mark.parametrize(
    ("reason", "error"), [("length", OutputTokenLimitExceeded), ("content_filter", ContentFilterError)]
)
async def test_an_answer_that_was_withheld_is_not_asked_for_again(
    reason: FinishReason, error: type[AgentRunError]
) -> None:
    """An answer that was withheld is not asked for again, because the same limit or filter would apply."""
    with pytest.raises(error):
        await run(Script([ThinkingPart("hm")], DONE, finish_reason=reason))


async def test_a_pause_in_mid_answer_ends_the_run() -> None:
    """A suspended response ends the run and is not an answer, although it has text."""

    async def pauses(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart("half")], state="suspended")

    loop = Loop(FunctionModel(pauses), BareTools(Desk()), ModelRequestParameters, Budget(UsageLimits()), [])
    with pytest.raises(UnexpectedModelBehavior, match="paused"):
        await loop.answer("go")


async def test_words_before_a_native_call_are_no_answer() -> None:
    """Words before a call of the provider's own tool are not the answer, unless nothing follows the call."""
    native = NativeToolCallPart("web_search", {})

    assert (await run(Script([TextPart("let me look"), native, TextPart("found")]))).output == "found"
    assert (await run(Script([TextPart("found"), native]))).output == "found"


async def test_a_tool_sees_earlier_turns_and_its_own() -> None:
    """A tool gets pydantic-ai's context, with earlier turns and its own, as one of its agents would give it."""
    desk, script = Desk(), Script([call("desk_recall", "1")], [TextPart("done")])
    earlier: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart("yesterday")]),
        ModelResponse(parts=[TextPart("noted")]),
    ]
    loop = Loop(script.model, BareTools(desk), ModelRequestParameters, Budget(UsageLimits()), earlier)
    await loop.answer("today")
    (returned,) = [part for part in script.shown[-1][-1].parts if isinstance(part, ToolReturnPart)]

    assert returned.content == ["yesterday", "today"]


async def test_calls_of_one_response_run_at_once() -> None:
    """The calls of one response run concurrently, and their results are in the order of the calls."""
    ended = await run(Script([call("desk_meet", "a"), call("desk_meet", "b")], DONE))

    assert [(result.tool_call_id, result.content) for result in results(ended)] == [("a", "met"), ("b", "met")]


async def test_a_crash_cancels_the_other_calls() -> None:
    """When a call crashes, the others have ended before the error arrives, and it keeps nothing of the run alive."""
    desk = Desk()
    gone = weakref.ref(desk)
    gc.collect()
    gc.disable()
    try:
        with suppress(UserError):
            await run(Script([call("desk_wait", "a"), call("desk_crash", "b")]), desk)
        begun, ended = desk.begun, desk.ended
        del desk
        await asyncio.sleep(0)  # callbacks of the cancelled tasks are still pending

        assert (begun, ended, gone()) == (["wait"], ["wait"], None)
    finally:
        gc.enable()


async def test_calls_with_the_same_id_are_refused() -> None:
    """Calls with the same id are refused, because an approval could count for either."""
    desk = Desk()
    with pytest.raises(UnexpectedModelBehavior, match="same id"):
        await run(Script([call("desk_count", "a", number=1), call("desk_count", "a", number=2)]), desk)

    assert desk.begun == []


async def test_what_a_tool_shows_follows_its_result() -> None:
    """A tool's contents besides its result follow all results, as part of the user's turn."""
    script = Script([call("desk_show", "a"), call("desk_count", "b", number=1)], DONE)
    ended = await run(script)

    first, second, beside = script.shown[-1][-1].parts
    assert isinstance(beside, UserPromptPart)
    assert [part.content for part in (first, second, beside) if isinstance(part, (ToolReturnPart, UserPromptPart))] == [
        "shown",
        1,
        ["what it shows"],
    ]
    assert results(ended)[0].metadata == {"seen": True}


async def test_answers_have_to_fit_the_calls() -> None:
    """A run resumes only with an answer to each waiting call, and with no other answer."""
    turn = [ModelResponse(parts=[call("desk_count", "a", number=1), call("desk_count", "b", number=2)])]
    for ids in (["a"], ["a", "b", "c"]):
        with pytest.raises(UserError, match="do not fit"):
            await loop_of(Script(DONE), turn=turn).resume(DeferredToolResults(approvals=dict.fromkeys(ids, True)))

    ended = await loop_of(Script(DONE), turn=turn).resume(DeferredToolResults(approvals={"a": True, "b": True}))
    assert [result.content for result in results(ended)] == [1, 2]
    assert not isinstance(ended.output, DeferredToolRequests)


class _Reader:
    def __init__(self) -> None:
        self.heard: list[Progress] = []

    def tell(self, progress: Progress) -> None:
        self.heard.append(progress)


async def test_a_reader_hears_words_and_tools() -> None:
    """A reader hears words as they are written, and each call as it begins and ends."""

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        if len(messages) > 1:
            for word in ("all ", "done"):
                yield word
        else:
            yield {0: DeltaToolCall("desk_count", '{"number": 1}', tool_call_id="a")}
            yield {1: DeltaToolCall("desk_missing", "{}", tool_call_id="b")}

    reader = _Reader()
    asking = ModelRequestParameters(function_tools=[spec.definition for spec in Desk.tools().values()])
    model = FunctionModel(stream_function=stream)
    ended = await Loop(model, BareTools(Desk()), lambda: asking, Budget(UsageLimits()), [], listener=reader).answer(
        "go"
    )

    words = [heard.delta for heard in reader.heard if isinstance(heard, TextWritten)]
    tools = [(heard.name, heard.state) for heard in reader.heard if isinstance(heard, ToolUsed)]
    assert (ended.output, "".join(words)) == ("all done", "all done")
    assert sorted(tools) == [
        ("desk_count", ToolState.DONE),
        ("desk_count", ToolState.STARTED),
        ("desk_missing", ToolState.FAILED),
        ("desk_missing", ToolState.STARTED),
    ]


async def test_words_are_public_until_the_turn_is_not() -> None:
    """A response is public by what the model had been shown when it was asked, and by default it is not."""

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        if len(messages) > 1:
            yield "after"
        else:
            yield "before"
            yield {0: DeltaToolCall("desk_count", '{"number": 1}', tool_call_id="a")}

    judged, by_default = _Reader(), _Reader()
    asking = ModelRequestParameters(function_tools=[spec.definition for spec in Desk.tools().values()])
    model = FunctionModel(stream_function=stream)
    tools, is_public = BareTools(Desk()), lambda turn: len(turn) == 1
    await Loop(model, tools, lambda: asking, Budget(UsageLimits()), [], (), judged, is_public).answer("go")
    await Loop(model, tools, lambda: asking, Budget(UsageLimits()), [], (), by_default).answer("go")

    words = [[each for each in reader.heard if isinstance(each, TextWritten)] for reader in (judged, by_default)]
    assert words[0] == [TextWritten("before", public=True), TextWritten("after", public=False)]
    assert not any(each.public for each in words[1])
