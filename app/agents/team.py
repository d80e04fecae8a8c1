"""A leader's tools: its own, and the members of its team."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic_ai import ApprovalRequired, DeferredToolRequests, RunContext, ToolFailed, ToolReturn
from pydantic_ai.exceptions import AgentRunError, FallbackExceptionGroup, UsageLimitExceeded, UserError
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolReturnPart

from app.agents.asking import TASK
from app.agents.calls import Tools
from app.agents.guard import ANSWERS, MEMBER, RUN, WAITS_FOR
from app.agents.loop import RunEnd
from app.agents.run import StoppedRun
from app.agents.wording import finished, in_words
from app.agents.work import Work
from app.attachments.prompt import without_files
from app.errors import AgentError
from app.llm.faults import ModelFault, model_fault
from app.llm.listed import LISTED, last_listed
from app.sent_files import dump_files
from app.toolkits.asides import with_aside
from app.toolkits.promised import FILES, files_in
from app.toolkits.toolkit import ToolSpec
from app.toolkits.untrusted import Quotes

PRIVATE = "private"  # in a result's metadata: whether it may hold something out of the person's account


class Member(Protocol):
    """An agent that does tasks for a leader."""

    @property
    def name(self) -> str:
        """Return its name in the configuration."""
        ...

    async def do_task(self, work: Work, task: str, history: Sequence[ModelMessage]) -> RunEnd:
        """Do a task.

        Args:
            work: Its part of the work on the message.
            task: The task, in the leader's words.
            history: The part of the conversation that it sees.

        Raises:
            AgentRunError: Its model failed, or a limit was reached.
        """
        ...

    async def go_on_with_task(
        self, work: Work, turn: Sequence[ModelMessage], answers: Any, history: Sequence[ModelMessage]
    ) -> RunEnd:
        """Continue a task that stopped, with the person's answers; raises as `do_task`."""
        ...

    def is_private(self, turn: Sequence[ModelMessage]) -> bool:
        """Return whether a turn of it may hold something out of the person's account."""
        ...


class Team:
    """Runs a leader's own tools through its guard, and its members as tools. Lives for one run.

    A member's run stops where its guard stops a call. Its leader's call then waits with it, and holds its run as data.

    Args:
        own: The leader's own tools.
        members: By the names of the tools that ask them.
        asks: These tools.
        work: The leader's part of the work.
        shares_history: The members see the conversation, as the leader does.
    """

    def __init__(
        self,
        own: Tools,
        members: Mapping[str, Member],
        asks: Mapping[str, ToolSpec],
        work: Work,
        *,
        shares_history: bool,
    ) -> None:
        self._own = own
        self._members = members
        self._asks = asks
        self._work = work
        self._shares_history = shares_history

    @property
    def names(self) -> list[str]:
        """Return the names of all tools, sorted."""
        return sorted([*self._own.names, *self._asks])

    def spec(self, name: str) -> ToolSpec | None:
        """Return a tool, or None if there is none of this name."""
        return self._asks.get(name) or self._own.spec(name)

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run a tool of the leader's own, or have a member do its task.

        Raises:
            ApprovalRequired: The call, or one of the member's, waits for the person.
            ToolFailed: The tool or the member failed, with the reason for the leader.
            AgentError: The member's model has a temporary fault, so the message can be tried again later.
        """
        member = self._members.get(name)
        if member is None:
            return await self._own.call_tool(name, tool_args, ctx)
        call_id = ctx.tool_call_id or ""
        work = self._work.of_member(member.name, call_id)
        history = _before(ctx.messages, call_id) if self._shares_history else []
        answered: Mapping[str, Any] = ctx.tool_call_metadata or {}
        work.tell(None)
        try:
            if (stopped := answered.get(RUN)) is None:
                ended = await member.do_task(work, tool_args[TASK], history)
            else:
                ended = await member.go_on_with_task(work, stopped.turn, answered[ANSWERS], history)
        except UsageLimitExceeded:
            raise  # the budget is the whole team's
        except (AgentRunError, FallbackExceptionGroup, UserError) as error:
            fault = model_fault(error) or ModelFault.UNUSABLE
            if fault.passes:
                raise AgentError(in_words(fault)) from error
            failed = with_aside(f"{member.name} could not finish this. {in_words(fault)}", "Tell the person.")
        else:
            return self._outcome(member, ended)
        finally:
            self._work.tell(None)
        raise ToolFailed(failed)

    def _outcome(self, member: Member, ended: RunEnd) -> ToolReturn[Any]:
        """Return a member's answer as the result of the call, or raise that the call waits."""
        turn = without_files(ended.turn)
        if isinstance(ended.output, DeferredToolRequests):
            stopped = StoppedRun.of(turn, ended.output)
            raise ApprovalRequired(metadata={WAITS_FOR: "member", MEMBER: member.name, RUN: stopped})
        answer, turn = finished(ended.output, turn)
        private = member.is_private(turn)
        metadata = {PRIVATE: private, LISTED: last_listed(turn), FILES: dump_files(files_in(turn))}
        if not any(isinstance(part, ToolReturnPart) for message in turn for part in message.parts):
            return ToolReturn(answer, metadata=metadata)
        quotes = Quotes()  # others may have written what its tools have read
        return ToolReturn({**quotes.note, "answer": quotes.quote(answer)}, metadata=metadata)


def is_private_result(metadata: Any) -> bool:
    """Return whether a member's answer may hold something out of the person's account, by its result's metadata."""
    return not (isinstance(metadata, Mapping) and metadata.get(PRIVATE) is False)


def _before(messages: Sequence[ModelMessage], call_id: str) -> list[ModelMessage]:
    """Return the messages before the response with this call, without the files that the person sent."""
    asked = [
        number
        for number, message in enumerate(messages)
        if isinstance(message, ModelResponse) and any(call.tool_call_id == call_id for call in message.tool_calls)
    ]
    return without_files(messages[: asked[-1]] if asked else messages)
