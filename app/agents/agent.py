"""The assistant that answers one message of one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from pydantic_ai import DeferredToolRequests, DeferredToolResults
from pydantic_ai.exceptions import AgentRunError, FallbackExceptionGroup, UsageLimitExceeded, UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    TextPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters

from app.agents.budget import Budget
from app.agents.guard import Guard
from app.agents.listening import AtWork, Listener, unwatched
from app.agents.loop import Loop, RunEnd
from app.agents.member_names import ask_name
from app.agents.organised import Organised
from app.agents.promised_files import PromisedFiles
from app.agents.rules import DIRECT, PlaceRules
from app.agents.run import StoppedRun
from app.agents.shell import AgentShell, Definitions
from app.agents.team import Team, is_private_result
from app.agents.wording import OUTGROWN, finished, in_words, unanswered
from app.agents.work import Work
from app.agents.writes import Writes
from app.approvals.approvals import Approval, Approvals
from app.attachments.prompt import Prompt, with_files, without_files
from app.audit.recorder import AuditRecorder
from app.connections.connections import PersonConnections
from app.conversations.history import Conversations, History
from app.errors import AgentError, ProviderError
from app.llm.faults import ModelFault, model_fault
from app.llm.files import can_read
from app.llm.offline import MODEL_NAME, reply
from app.llm.patience import PatientModel
from app.messages import StoredMessage
from app.principal import Principal
from app.sent_files import FileReference
from app.toolkits.input_files import InputFiles
from app.toolkits.promised import files_in
from app.toolkits.toolkit import Toolkit, ToolSpec


@dataclass(frozen=True, slots=True)
class Answered:
    """A run that came to its end.

    Attributes:
        private: The answer may hold something out of the person's account, so they alone may see it.
        turn: The messages that the run added to the history.
        files: The files that go with the answer, by reference.
        forget_before: The conversation has outgrown the model, so turns with a lower sequence are to be erased.
    """

    text: str = field(repr=False)
    private: bool
    turn: list[ModelMessage] = field(repr=False)
    forget_before: int | None = None
    files: tuple[FileReference, ...] = ()


class Agent:
    """Runs a shell with one person's toolkits, credentials and history. Lives for one request.

    Args:
        members: The members of the team that it leads, agents of the same person and request; none by default.
    """

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
        files: InputFiles,
        members: Sequence[Agent] = (),
    ) -> None:
        self.principal = principal
        self._shell = shell
        self._toolkits = toolkits
        self._connections = connections
        self._approvals = approvals
        self._conversations = conversations
        self._writes = writes
        self._trail = trail
        self._files = files
        self._members = members

    @property
    def name(self) -> str:
        """Return the agent's name in the configuration."""
        return self._shell.name

    def tools(self) -> dict[str, ToolSpec]:
        """Return every tool that this person's agent can run, itself or through its members, by name."""
        tools = {name: spec for member in self._members for name, spec in member.tools().items()}
        return tools | {name: spec for toolkit in self._toolkits for name, spec in toolkit.known().items()}

    def definitions(self) -> Definitions:
        """Return the tools that its model can call; raises as `AgentShell.definitions`."""
        return self._shell.definitions(self._toolkits, [member.definitions() for member in self._members])

    @property
    def introduction(self) -> str | None:
        """Return what the demo model says of itself; None for any other model, which cannot be asked without a run."""
        if self._shell.model.model_name != MODEL_NAME:
            return None
        asked = ModelRequest(parts=[UserPromptPart("help")])
        told = reply([asked], self.definitions())
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
        work = Work(message, rules, Organised(), Budget(self._shell.limits), listener, at_work)
        return await self._run(work, (prompt or Prompt(message.text)).content(), [], None)

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
        work = Work(message, rules, Organised(stopped.organised), Budget(self._shell.limits), listener, at_work)
        results = stopped.results(granted=granted, approvals=approvals)
        return await self._run(work, "", with_files(stopped.turn, files), results)

    async def read_file(self, message: StoredMessage, file: FileReference) -> bytes:
        """Return the contents of a file that goes with the answer to a message of its principal.

        Raises as `PromisedFiles.read`.
        """
        promised = PromisedFiles(self._all_toolkits(), self._connections, self._trail)
        return await promised.read(message, file)

    def _all_toolkits(self) -> list[Toolkit]:
        """Return its toolkits, and those of its members."""
        return [*self._toolkits, *(toolkit for member in self._members for toolkit in member._all_toolkits())]

    async def do_task(self, work: Work, task: str, history: Sequence[ModelMessage]) -> RunEnd:
        """Do a task for the leader of a team.

        Args:
            work: Its part of the work on the message.
            task: The task, in the leader's words.
            history: The part of the conversation that it sees.

        Raises:
            AgentRunError: Its model failed, or a limit was reached.
        """
        return await self._loop(work, PatientModel(self._shell.model), history).answer(task)

    async def go_on_with_task(
        self, work: Work, turn: Sequence[ModelMessage], answers: DeferredToolResults, history: Sequence[ModelMessage]
    ) -> RunEnd:
        """Continue a task that stopped, with the person's answers; raises as `do_task`."""
        return await self._loop(work, PatientModel(self._shell.model), history, turn).resume(answers)

    def _loop(
        self,
        work: Work,
        model: Model,
        history: Sequence[ModelMessage],
        turn: Sequence[ModelMessage] = (),
        *,
        private: bool = True,
    ) -> Loop:
        """Return the loop of one run; the history is private if it holds something out of the person's account."""
        begins = partial(self._writes.begin, self.principal, work.message.message_id, work.message.attempt)
        guard = Guard(
            self._toolkits,
            self.principal,
            self._connections,
            self._approvals,
            begins,
            self._trail,
            self._files,
            work,
            self._shell.permission,
        )
        members = {ask_name(member.name): member for member in self._members}
        shares_history = self._shell.shares_history
        tools = Team(guard, members, self._shell.asks, work, shares_history=shares_history) if members else guard

        def is_public(so_far: Sequence[ModelMessage]) -> bool:
            return not (private or self.is_private(so_far))

        return Loop(model, tools, self._asking, work.budget, history, turn, work.listener, is_public)

    def _asking(self) -> ModelRequestParameters:
        return self._shell.asking(self._toolkits, [member.definitions() for member in self._members])

    async def _run(
        self,
        work: Work,
        content: str | Sequence[UserContent],
        turn_so_far: list[ModelMessage],
        results: DeferredToolResults | None,
    ) -> Answered | StoppedRun:
        message = work.message
        history = await self._conversations.load(
            self.principal,
            message.conversation,
            turns_at_most=self._shell.history_turns,
            characters_at_most=self._shell.history_characters,
            shared=work.rules.shared_history,
        )
        model = PatientModel(self._shell.model)
        loop = self._loop(work, model, history.messages, turn_so_far, private=history.private)
        try:
            ended = await (loop.answer(content) if results is None else loop.resume(results))
        except UsageLimitExceeded as error:
            raise AgentError("This took more steps than I may use for one message. Try a smaller request.") from error
        except (AgentRunError, FallbackExceptionGroup, UserError) as error:
            raise AgentError(in_words(model_fault(error) or ModelFault.UNUSABLE)) from error
        except ProviderError as error:
            raise AgentError(f"{unanswered(error)} Please try again later.") from error
        turn = without_files(ended.turn)
        if isinstance(ended.output, DeferredToolRequests):
            return StoppedRun.of(turn, ended.output, work.organised.count)
        answer, turn = finished(ended.output, turn)
        forget_before = _oldest_kept(history, model.left_out, message.sequence)
        if forget_before is not None:
            answer = f"{answer}\n\n{OUTGROWN}"
        return Answered(answer, history.private or self.is_private(turn), turn, forget_before, files_in(turn))

    def is_private(self, turn: Sequence[ModelMessage]) -> bool:
        """Return whether a turn may hold something out of the person's account."""
        tools = {name: spec for toolkit in self._toolkits for name, spec in toolkit.known().items()}
        returned = (part for message in turn for part in message.parts if isinstance(part, ToolReturnPart))
        # A parked run may hold the result of a tool that the agent no longer has.
        return any(
            is_private_result(part.metadata)
            if part.tool_name in self._shell.asks
            else part.tool_name not in tools or tools[part.tool_name].connection is not None
            for part in returned
        )


def _oldest_kept(history: History, left_out: int, sequence: int) -> int | None:
    """Return the message before which all is to be forgotten, or None if the model was shown the whole history."""
    if left_out:
        kept = history.sequences[left_out:]
        return kept[0] if kept else sequence
    if history.outgrown:
        return history.sequences[0] if history.sequences else sequence
    return None
