"""The assistant that answers one message of one person."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pydantic_ai import DeferredToolRequests, DeferredToolResults, UsageLimits
from pydantic_ai.exceptions import AgentRunError, FallbackExceptionGroup, UsageLimitExceeded, UserError
from pydantic_ai.messages import (
    BinaryContent,
    InstructionPart,
    ModelMessage,
    ModelRequest,
    TextPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from app.agents.guard import Guard
from app.agents.listening import AtWork, Listener, unwatched
from app.agents.loop import Loop
from app.agents.organised import Organised, organised_in
from app.agents.rules import DIRECT, PlaceRules
from app.agents.run import StoppedRun
from app.agents.wording import OUTGROWN, finished, in_words
from app.agents.writes import Writes
from app.approvals.approvals import Approval, Approvals
from app.attachments.prompt import Prompt, with_files, without_files
from app.audit.recorder import AuditRecorder
from app.connections.connections import PersonConnections
from app.conversations.history import HISTORY_CHARACTERS, Conversations, History
from app.errors import AgentError, GoogleError
from app.llm.faults import ModelFault, model_fault
from app.llm.files import can_read
from app.llm.offline import MODEL_NAME, reply
from app.llm.patience import PatientModel
from app.messages import StoredMessage
from app.principal import Principal
from app.toolkits.toolkit import Effect, Toolkit, ToolSpec


@dataclass(frozen=True, slots=True)
class Answered:
    """A run that came to its end.

    Attributes:
        private: The answer may hold something out of the person's account, so they alone may see it.
        turn: The messages that the run added to the history.
        forget_before: The conversation has outgrown the model, so turns with a lower sequence are to be erased.
    """

    text: str = field(repr=False)
    private: bool
    turn: list[ModelMessage] = field(repr=False)
    forget_before: int | None = None


class AgentShell:
    """One configured agent as all people share it: its name, instructions, model and limits.

    Lives as long as the process and knows no person: toolkits and history are handed over with each run.

    Args:
        permission: Returns in words the permission that an OAuth scope gives.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        instructions: str,
        history_turns: int,
        request_limit: int,
        tool_calls_limit: int,
        history_characters: int = HISTORY_CHARACTERS,
        permission: Callable[[str], str] = str,
    ) -> None:
        self.name = name
        self.permission = permission
        self.history_turns = history_turns
        self.history_characters = history_characters
        self.limits = UsageLimits(request_limit=request_limit, tool_calls_limit=tool_calls_limit)
        self.model = model
        self._instructions = [InstructionPart(instructions)] if instructions else []
        self._last: tuple[list[Mapping[str, ToolSpec]], list[ToolDefinition]] = ([], [])  # of the last request

    def asking(self, toolkits: Sequence[Toolkit]) -> ModelRequestParameters:
        """Return what a model is given with its next request: the tools of these toolkits, and the instructions.

        Raises:
            AgentError: Two toolkits have a tool of the same name.
        """
        offered = [toolkit.offered() for toolkit in toolkits]
        before, definitions = self._last
        if len(before) != len(offered) or any(map(operator.is_not, before, offered)):
            specs = [spec for tools in offered for spec in tools.values()]
            if len({spec.name for spec in specs}) < len(specs):
                raise AgentError("I am not set up correctly: two of my tools have the same name.")
            definitions = [spec.definition for spec in specs]
            self._last = (offered, definitions)
        notices = [InstructionPart(said, dynamic=True) for toolkit in toolkits if (said := toolkit.notice())]
        return ModelRequestParameters(function_tools=[*definitions], instruction_parts=[*self._instructions, *notices])

    def __repr__(self) -> str:
        return f"AgentShell({self.name!r})"


class Agent:
    """Runs a shell with one person's toolkits, credentials and history. Lives for one request."""

    def __init__(
        self,
        principal: Principal,
        shell: AgentShell,
        toolkits: Sequence[Toolkit],
        connections: PersonConnections,
        approvals: Approvals,
        conversations: Conversations,
        writes: Writes,
        trail: AuditRecorder,
    ) -> None:
        self.principal = principal
        self._shell = shell
        self._toolkits = toolkits
        self._connections = connections
        self._approvals = approvals
        self._conversations = conversations
        self._writes = writes
        self._trail = trail

    @property
    def name(self) -> str:
        """Return the agent's name in the configuration."""
        return self._shell.name

    def tools(self) -> dict[str, ToolSpec]:
        """Return every tool that this person's agent can run, by name."""
        return {name: spec for toolkit in self._toolkits for name, spec in toolkit.known().items()}

    @property
    def introduction(self) -> str | None:
        """Return what the demo model says of itself; None for any other model, which cannot be asked without a run."""
        if self._shell.model.model_name != MODEL_NAME:
            return None
        asked = ModelRequest(parts=[UserPromptPart("help")])
        told = reply([asked], [spec.definition for spec in self.tools().values()])
        return told.content if isinstance(told, TextPart) else None

    def reads(self, media_type: str) -> bool:
        """Return whether this agent's model reads files of a type, such as ``image/png``."""
        return can_read(self._shell.model, media_type)

    async def answer(
        self,
        message: StoredMessage,
        listener: Listener | None = None,
        prompt: Prompt | None = None,
        at_work: AtWork = unwatched,
        *,
        rules: PlaceRules = DIRECT,
    ) -> Answered | StoppedRun:
        """Run the agent on a message of its principal.

        Args:
            message: The message to answer.
            listener: Notified of progress; the model is asked to stream only if there is one.
            prompt: The message as the model gets it; by default its text.
            at_work: Told what a tool that runs is doing, and None once it has ended.
            rules: The rules of the place that the message came from.

        Raises:
            AgentError: The model failed, or a limit was reached.
        """
        self._connections.use_in(message.conversation)
        content = (prompt or Prompt(message.text)).content()
        return await self._run(message, content, [], None, listener, at_work, rules)

    async def go_on(
        self,
        message: StoredMessage,
        stopped: StoppedRun,
        listener: Listener | None = None,
        at_work: AtWork = unwatched,
        *,
        granted: bool | None,
        approvals: Sequence[Approval],
        files: Sequence[BinaryContent] = (),
        rules: PlaceRules = DIRECT,
    ) -> Answered | StoppedRun:
        """Continue a run that was stopped, now that the person has answered.

        The files of the message are given again, because none is stored with the run. Approved calls run with the
        account that they were shown with, even if the person has chosen another since.

        Raises:
            AgentError: The model failed, or a limit was reached.
        """
        self._connections.use_in(message.conversation, stopped.credential_ids)
        results = stopped.results(granted=granted, approvals=approvals)
        return await self._run(message, "", with_files(stopped.turn, files), results, listener, at_work, rules)

    async def _run(
        self,
        message: StoredMessage,
        content: str | Sequence[UserContent],
        turn_so_far: list[ModelMessage],
        results: DeferredToolResults | None,
        listener: Listener | None,
        at_work: AtWork,
        rules: PlaceRules,
    ) -> Answered | StoppedRun:
        history = await self._conversations.load(
            self.principal,
            message.conversation,
            turns_at_most=self._shell.history_turns,
            characters_at_most=self._shell.history_characters,
            shared=rules.shared_history,
        )
        organising = frozenset(name for name, spec in self.tools().items() if spec.effect is Effect.ORGANISE)
        waiting = frozenset(results.approvals) if results else frozenset()
        organised = Organised(organised_in(turn_so_far, organising, waiting))
        guard = Guard(
            self._toolkits,
            self.principal,
            self._connections,
            self._approvals,
            partial(self._writes.begin, self.principal, message.message_id, message.attempt),
            self._trail,
            message.message_id,
            organised,
            self._shell.permission,
            rules.acts,
            at_work,
        )
        model = PatientModel(self._shell.model)
        loop = Loop(
            model,
            guard,
            partial(self._shell.asking, self._toolkits),
            self._shell.limits,
            history.messages,
            turn_so_far,
            listener,
        )
        try:
            ended = await (loop.answer(content) if results is None else loop.resume(results))
        except UsageLimitExceeded as error:
            raise AgentError("This took more steps than I may use for one message. Try a smaller request.") from error
        except (AgentRunError, FallbackExceptionGroup, UserError) as error:
            raise AgentError(in_words(model_fault(error) or ModelFault.UNUSABLE)) from error
        except GoogleError as error:
            raise AgentError(f"{_in_words(error)} Please try again later.") from error
        turn = without_files(ended.turn)
        if isinstance(ended.output, DeferredToolRequests):
            return StoppedRun.of(turn, ended.output)
        answer, turn = finished(ended.output, turn)
        forget_before = _oldest_kept(history, model.left_out, message.sequence)
        if forget_before is not None:
            answer = f"{answer}\n\n{OUTGROWN}"
        return Answered(answer, history.private or self._is_private(turn), turn, forget_before)

    def _is_private(self, turn: list[ModelMessage]) -> bool:
        tools = self.tools()
        returned = (
            part.tool_name
            for message in turn
            if isinstance(message, ModelRequest)
            for part in message.parts
            if isinstance(part, ToolReturnPart)
        )
        # A parked run may hold the result of a tool that the agent no longer has.
        return any(name not in tools or tools[name].connection for name in returned)


def _in_words(error: GoogleError) -> str:
    if error.is_busy:
        return "Google is busy and takes no more from you for now."
    return "Google gives me no answer." if error.status is None else "Google has a fault of its own."


def _oldest_kept(history: History, left_out: int, sequence: int) -> int | None:
    """Return the message before which all is to be forgotten, or None if the model was shown the whole history."""
    if left_out:
        kept = history.sequences[left_out:]
        return kept[0] if kept else sequence
    if history.outgrown:
        return history.sequences[0] if history.sequences else sequence
    return None
