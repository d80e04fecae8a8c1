"""The recorder of one request's tools and of every call to Google that they make, for the audit trail."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from app.audit.audit import AuditEntry, AuditEvent
from app.google.request_recorder import SentRequest
from app.principal import Principal
from app.run import current_run

log = logging.getLogger(__name__)

# The id of the tool call that runs in this context. It is not personal data, so it may outlive the request.
_TOOL_CALL: ContextVar[str | None] = ContextVar("tool_call", default=None)


class NamedCredentials(Protocol):
    """Credentials that say which they are."""

    @property
    def credential_id(self) -> str:
        """The name of the access that is used here; not a secret."""


class Rows(Protocol):
    """Where rows are kept."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Add rows, even if the caller is cancelled."""
        ...


@dataclass(slots=True)
class _ToolCall:
    message_id: str
    tool: str
    member: str | None
    calls: list[AuditEntry] = field(default_factory=list)


class AuditRecorder:
    """Records the tool calls of one person. Lives for one request.

    The rows of a tool are written in one transaction when it succeeds or fails. Before a tool that changes something
    begins, a row says so. If a row cannot be written, the call is not made, or its result is not returned.
    """

    def __init__(
        self, principal: Principal, credentials: NamedCredentials, rows: Rows, now: Callable[[], float] = time.time
    ) -> None:
        self._principal = principal
        self._credentials = credentials
        self._rows = rows
        self._now = now
        self._run = current_run()
        self._running: dict[str, _ToolCall] = {}

    async def begin(self, message_id: str, tool: str, *, acts: bool, member: str = "") -> str:
        """Take the calls that follow in this task, and in those that it starts, for this tool's; returns an id.

        Args:
            message_id: The message that it is called for.
            tool: Its name.
            acts: Whether it changes something.
            member: The member of a team that calls it; empty for the agent that answers the person.
        """
        self._run.check("The audit recorder")
        tool_call = uuid.uuid4().hex
        self._running[tool_call] = _ToolCall(message_id, tool, member or None)
        if acts:
            await self._rows.append([self._entry(tool_call, AuditEvent.TOOL, outcome="begun")])
        _TOOL_CALL.set(tool_call)
        return tool_call

    async def end(self, tool_call: str, *, done: bool) -> None:
        """Write the tool's rows; its calls come first."""
        _TOOL_CALL.set(None)
        ended = self._entry(tool_call, AuditEvent.TOOL, outcome="done" if done else "failed")
        calls = self._running.pop(tool_call).calls
        await self._rows.append([*calls, ended])

    def sending(self) -> SentRequest:
        """Return a new record of a request that is about to be sent to Google, with the credential that is in use."""
        self._run.check("The audit recorder")
        return SentRequest(self._credentials.credential_id)

    async def refused(self, method_ids: Sequence[str]) -> None:
        """Write that another run tried to call these methods as this person; the tool call is the other run's."""
        tool_call = _TOOL_CALL.get()
        log.error("a request tried to use another one's Google account and was refused (tool call %s)", tool_call)
        at = self._now()
        await self._rows.append(
            [
                AuditEntry(
                    self._principal, AuditEvent.CALL, at, tool_call=tool_call, method=method_id, outcome="refused"
                )
                for method_id in method_ids
            ]
        )

    async def sent(self, sent: SentRequest) -> None:
        """Add the calls of a sent request to the rows of the tool that made them; outside of a tool, write them now."""
        tool_call = _TOOL_CALL.get()
        running = self._running.get(tool_call) if tool_call else None
        entries = [
            self._entry(
                tool_call if running else None,
                AuditEvent.CALL,
                credential=sent.credential_id,
                method=method_id,
                status=status,
            )
            for method_id, status in sent.calls
        ]
        if running is not None:
            running.calls += entries
        elif entries:
            await self._rows.append(entries)

    def _entry(
        self,
        tool_call: str | None,
        event: AuditEvent,
        *,
        credential: str | None = None,
        method: str | None = None,
        status: int | None = None,
        outcome: str | None = None,
    ) -> AuditEntry:
        running = self._running[tool_call] if tool_call else None
        return AuditEntry(
            self._principal,
            event,
            self._now(),
            message_id=running.message_id if running else None,
            tool_call=tool_call,
            tool=running.tool if running else None,
            member=running.member if running else None,
            credential=credential,
            method=method,
            status=status,
            outcome=outcome,
        )
