"""The guard between the model and a toolkit: no call without consent, and no action without approval."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic_ai import ApprovalRequired, CallDeferred, ModelRetry, RunContext, ToolFailed
from pydantic_ai.exceptions import AgentRunError
from pydantic_core import to_jsonable_python

from app.agents.call_files import CallFiles, things_changed
from app.agents.failure import failure, is_sendable
from app.agents.organised import things_in
from app.agents.refusals import ACCOUNT_GONE, NOT_IN_A_GROUP, TELL, TOO_MANY_QUESTIONS, TOOL_GONE, UNKNOWN_EFFECT
from app.agents.shown import question_about
from app.agents.work import Work
from app.approvals.approvals import Approvals
from app.audit.recorder import AuditRecorder
from app.connections.connections import PersonConnections
from app.errors import (
    AccessRefusedError,
    ConsentRequiredError,
    DeputyError,
    GrantRevokedError,
    ProviderError,
)
from app.oauth.provider import Permission, unworded
from app.principal import Principal
from app.toolkits.asides import with_aside
from app.toolkits.google_faults import describe
from app.toolkits.input_file import InputFile
from app.toolkits.input_files import InputFiles
from app.toolkits.promised import read_by
from app.toolkits.questions import MAX_QUESTIONS, AnswerNeededError, Asked, pending_call
from app.toolkits.toolkit import Effect, Toolkit, ToolSpec

log = logging.getLogger(__name__)

# Keys of the metadata by which the guard says why a call waits …
WAITS_FOR = "waits_for"
OAUTH_SCOPES = "oauth_scopes"
CONNECTION = "connection"
ARGUMENTS = "arguments"
CREDENTIAL_ID = "credential_id"
QUESTION = "question"
DOING = "doing"
FILES = "files"
ASKED = "asked"
MEMBER = "member"
RUN = "run"
# … and by which the agent says, when the call is tried again, what the person has answered.
CONSENT_ANSWERED = "consent_answered"
CONSENT_SCOPES = "consent_scopes"
APPROVAL_ID = "approval_id"
ANSWERS = "answers"

# Errors that mean something to this guard, to pydantic-ai or to the code that answers the message.
_ANSWERED_ABOVE = (DeputyError, AgentRunError, ToolFailed, ModelRetry, ApprovalRequired, CallDeferred)
_MAY_BE_DONE = {
    Effect.READ: "",
    Effect.ORGANISE: " Part of it may have been done.",
    Effect.ACT: " It may have been done anyway.",
}


class Guard:
    """A person's tools, which run only with their consent and, to act, their approval. Lives for one run.

    A call that may not run yet raises pydantic-ai's ApprovalRequired, which ends the run with the call pending. An
    approval that came with the run is never enough to act: an approval of this principal is claimed in the database,
    and it counts for the account alone that the call was shown with.

    Args:
        toolkits: The toolkits of this person's agent; no two have a tool of the same name.
        begins_to_write: Awaited with a tool's name before it organises in a way that must not be repeated.
        files: Fetches the files that calls name.
        work: The work on a message that the calls are part of.
        permission: Returns what an OAuth scope of a connection permits, in words.
    """

    def __init__(
        self,
        toolkits: Sequence[Toolkit],
        principal: Principal,
        connections: PersonConnections,
        approvals: Approvals,
        begins_to_write: Callable[[str], Awaitable[None]],
        trail: AuditRecorder,
        files: InputFiles,
        work: Work,
        permission: Permission = unworded,
    ) -> None:
        self._toolkits = toolkits
        self._principal = principal
        self._connections = connections
        self._approvals = approvals
        self._begins_to_write = begins_to_write
        self._trail = trail
        self._files = CallFiles(files, work.message.conversation)
        self._work = work
        self._permission = permission

    def spec(self, name: str) -> ToolSpec | None:
        """Return a tool, or None if this person's agent has none of this name."""
        found = self._find(name)
        return found[1] if found else None

    @property
    def names(self) -> list[str]:
        """Return the names of all tools, sorted."""
        return sorted(name for toolkit in self._toolkits for name in toolkit.offered())

    def _find(self, name: str) -> tuple[Toolkit, ToolSpec] | None:
        for toolkit in self._toolkits:
            if (spec := toolkit.known().get(name)) is not None:
                return toolkit, spec
        return None

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run the tool, or raise the reason why its call must wait.

        Raises:
            ApprovalRequired: The person has to consent, or to approve, first.
            ToolFailed: They said no, or Google did.
            ProviderError: The fault is temporary and this call changed nothing: the message can be tried again later.
        """
        if (found := self._find(name)) is None:  # since the call was checked
            raise ToolFailed(TOOL_GONE)
        toolkit, spec = found
        if spec.effect is Effect.ACT and not self._work.rules.acts:
            raise ToolFailed(NOT_IN_A_GROUP)
        answered: Mapping[str, Any] = ctx.tool_call_metadata or {}
        try:
            await self._connections.ensure(spec.connection, self._files.needs(spec, tool_args))
        except (ConsentRequiredError, GrantRevokedError) as error:
            if answered.get(APPROVAL_ID) is not None:
                raise ToolFailed(ACCOUNT_GONE) from error
            self._wait_for_consent(spec, answered, error)
        except AccessRefusedError as error:
            raise ToolFailed(str(error)) from error
        except ProviderError as error:
            if error.passes and answered.get(APPROVAL_ID) is None:
                raise
            raise ToolFailed(describe(error)) from error
        if answered.get(ASKED) or spec.effect is Effect.ACT or self._is_too_much(spec, tool_args, answered):
            return await self._act(toolkit, spec, tool_args, ctx)
        try:
            files = await self._files.fetch(spec, tool_args)
            if spec.effect is Effect.ORGANISE and not spec.repeatable:
                await self._begins_to_write(name)
            return await self._run(toolkit, spec, tool_args, files, ctx)
        except (ConsentRequiredError, GrantRevokedError) as error:  # Google refused the token in mid-call
            self._wait_for_consent(spec, answered, error)
        except AnswerNeededError as error:
            self._wait_for_answer(spec, tool_args, Asked(error.form, error.state))
        except AccessRefusedError as error:
            raise ToolFailed(str(error)) from error
        except ToolFailed as error:
            if spec.effect is Effect.READ and isinstance(error.__cause__, ProviderError) and error.__cause__.passes:
                raise _cause_alone(error) from None
            raise

    def _is_too_much(self, spec: ToolSpec, tool_args: Mapping[str, Any], answered: Mapping[str, Any]) -> bool:
        """Return whether a tool that organises needs approval, because this message would organise too many things."""
        if spec.effect is not Effect.ORGANISE:
            return False
        things = things_in(things_changed(spec, tool_args))
        return answered.get(APPROVAL_ID) is not None or not self._work.organised.take(things)

    def _wait_for_consent(
        self,
        spec: ToolSpec,
        answered: Mapping[str, Any],
        error: ConsentRequiredError | GrantRevokedError,
        credential_id: str | None = None,
    ) -> NoReturn:
        missing = error.oauth_scopes if isinstance(error, ConsentRequiredError) else spec.oauth_scopes
        # An API that refused a call may want more than the person was asked for before the call was made.
        asked = frozenset(answered.get(CONSENT_SCOPES, ()))
        is_new = isinstance(error, ConsentRequiredError) and error.is_undone and not error.oauth_scopes <= asked
        if spec.connection in answered.get(CONSENT_ANSWERED, ()) and not is_new:
            permissions = [f'"{self._permission(scope, spec.connection)}"' for scope in sorted(missing)]
            needed = "; ".join(permissions) or "the access"
            raise ToolFailed(
                with_aside(
                    f"You did not allow {needed}, which I need for {spec.doing}. Write "
                    f"`connect {spec.connection}` to change that.",
                    "Name the permission to the person, who did not grant it; other tools may work without it.",
                )
            ) from error
        raise ApprovalRequired(
            metadata={
                WAITS_FOR: "consent",
                CONNECTION: spec.connection,
                OAUTH_SCOPES: sorted(missing),
                DOING: spec.doing,
                CREDENTIAL_ID: credential_id,
                ASKED: answered.get(ASKED),
            }
        ) from None

    def _wait_for_answer(self, spec: ToolSpec, tool_args: Mapping[str, Any], asked: Asked) -> NoReturn:
        """Let the call wait until its person has answered the tool; it goes on as it is, with this account."""
        if asked.round > MAX_QUESTIONS:
            raise ToolFailed(TOO_MANY_QUESTIONS)
        call = {ARGUMENTS: to_jsonable_python(tool_args), CONNECTION: spec.connection, ASKED: asked}
        credential_id = self._connections.credential_id(spec.connection)
        raise ApprovalRequired(metadata={WAITS_FOR: "answer", **call, CREDENTIAL_ID: credential_id}) from None

    async def _run(
        self,
        toolkit: Toolkit,
        spec: ToolSpec,
        tool_args: dict[str, Any],
        files: Mapping[str, InputFile],
        ctx: RunContext[Any],
    ) -> Any:
        """Run the tool, with its files in place of their references, and record it."""
        if spec.files is not None:
            tool_args = spec.files.filled(tool_args, files)
        done = False
        message_id, member = self._work.message.message_id, self._work.member
        tool_call = await self._trail.begin(message_id, spec.name, acts=spec.effect is Effect.ACT, member=member)
        self._work.tell(spec.doing)
        try:
            result = await toolkit.call_tool(spec.name, tool_args, ctx)
            done = True
        except _ANSWERED_ABOVE:
            raise
        except Exception as error:
            failed = failure(error)
        else:
            if is_sendable(result):
                return read_by(result, spec.name, self._connections.credential_id(spec.connection))
            failed = f"its result, of the type {type(result).__name__}, cannot be sent to a model as JSON"
        finally:
            self._work.tell(None)
            await self._trail.end(tool_call, done=done)
        log.error("message %s of %s: the tool %s failed: %s", message_id, self._principal, spec.name, failed)
        raise ToolFailed(with_aside(f"{spec.name} failed because of a fault in it.{_MAY_BE_DONE[spec.effect]}", TELL))

    async def _act(self, toolkit: Toolkit, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        answered: Mapping[str, Any] = ctx.tool_call_metadata or {}
        approval_id = answered.get(APPROVAL_ID)
        asked: Asked | None = answered.get(ASKED)
        call_id = f"{self._work.place}{ctx.tool_call_id or ''}"
        call = pending_call(call_id, spec.name, to_jsonable_python(tool_args), asked)
        credential_id = self._connections.credential_id(spec.connection)
        if approval_id is None and asked is not None:  # another call was answered meanwhile
            self._wait_for_answer(spec, tool_args, asked)
        if approval_id is None:
            try:
                files = await self._files.fetch(spec, tool_args)
            except (ConsentRequiredError, GrantRevokedError) as error:
                self._wait_for_consent(spec, answered, error)
            except AccessRefusedError as error:
                raise ToolFailed(str(error)) from error
            shown = {
                ARGUMENTS: call.arguments,
                CONNECTION: spec.connection,
                CREDENTIAL_ID: credential_id,
                FILES: {each: file.digest for each, file in files.items()},
                QUESTION: await question_about(toolkit, spec, tool_args, files),
            }
            raise ApprovalRequired(metadata={WAITS_FOR: "approval", **shown})
        if answered.get(CREDENTIAL_ID) != credential_id:
            raise ToolFailed(ACCOUNT_GONE)
        try:
            files = await self._files.approved(spec, tool_args, answered.get(FILES) or {})
        except (ConsentRequiredError, GrantRevokedError, AccessRefusedError) as error:
            raise ToolFailed(ACCOUNT_GONE) from error
        if not await self._approvals.claim(self._principal, approval_id, call):
            # Another attempt has claimed it: asking again would offer to do it twice.
            raise ToolFailed(UNKNOWN_EFFECT)
        try:
            return await self._run(toolkit, spec, tool_args, files, ctx)
        except (ConsentRequiredError, GrantRevokedError) as error:
            if getattr(error, "is_undone", False) and await self._approvals.give_back(self._principal, approval_id):
                self._wait_for_consent(spec, answered, error, credential_id)
            raise ToolFailed("My access to your account has ended, so this was not done. Ask again.") from error
        except AnswerNeededError as error:
            self._wait_for_answer(spec, tool_args, Asked(error.form, error.state, asked.round + 1 if asked else 1))
        except AccessRefusedError as error:
            raise ToolFailed(str(error)) from error
        finally:
            await self._approvals.complete(self._principal, approval_id)


def _cause_alone(error: ToolFailed) -> BaseException:
    """Return the cause of an error, which will refer to it no more.

    Raised while the error is handled, the cause refers to the error in turn: they would keep the whole run.
    """
    cause, error.__cause__ = error.__cause__, None
    assert cause is not None
    return cause
