"""The audit trail at rest: who did what with which credential, by which message. It holds no secret and no text.

Rows are only ever added: triggers of the database refuse to change or delete one (migration v0008_audit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.prepared import Prepared
from app.database.tables import audit_events, owned_by, owner, principal_of
from app.principal import Principal


class AuditEvent(StrEnum):
    """The kinds of audited events."""

    LINK = "link"  # Google granted something by a consent link; it is in quarantine
    CONFIRM = "confirm"  # the grant counts from now on
    WIDEN = "widen"  # a grant that counted already covers more, or other, OAuth scopes
    REFRESH = "refresh"  # its access token was renewed
    REVOKE = "revoke"  # it ended
    OFFBOARD = "offboard"  # all access of a person ended
    APPROVE = "approve"  # the person approved a call
    DENY = "deny"  # the person denied a call
    TOOL = "tool"  # a tool began, where it acts, or ended
    CALL = "call"  # a tool called Google


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row.

    Attributes:
        at: POSIX seconds.
        provider: Whose credential it is, of an event about a grant.
        message_id: The message for which it was done.
        tool_call: Joins the rows of one call of one tool, 32 hexadecimal digits. Of an approval or a denial, its id.
        credential: A grant's id, or in workspace mode the address that was acted as.
        method: Of Google's, such as ``gmail.users.messages.get``.
        status: Google's HTTP status; None if no answer was seen, in which case the call may have taken effect.
        outcome: Of a tool: begun, done or failed. Of a call: refused, when another run than this person's tried it;
            `tool_call` is then that run's.
        member: The member of a team that called the tool; None if the agent that answers the person did.
    """

    principal: Principal
    event: AuditEvent
    at: float
    message_id: str | None = None
    tool_call: str | None = None
    tool: str | None = None
    credential: str | None = None
    method: str | None = None
    status: int | None = None
    outcome: str | None = None
    provider: str | None = None
    member: str | None = None


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which rows to find: those that fit everything that is given.

    Attributes:
        credentials: Grants' ids or workspace addresses, any of them; with the rows of the tools that used them.
        since: POSIX seconds, included.
        until: POSIX seconds, excluded.
        method: Of Google's, or its beginning up to a dot: ``gmail.users.messages``.
    """

    principal: Principal | None = None
    message_id: str | None = None
    credentials: Collection[str] | None = None
    since: float | None = None
    until: float | None = None
    tool: str | None = None
    method: str | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return what a row has to fulfil."""
        rows = audit_events.c
        found: list[sa.ColumnElement[bool]] = []
        if self.principal is not None:
            found.append(owned_by(audit_events, self.principal))
        if self.message_id is not None:
            found.append(rows.message_id == self.message_id)
        if self.credentials is not None:
            used = rows.credential.in_(self.credentials)
            found.append(sa.or_(used, rows.tool_call.in_(sa.select(rows.tool_call).where(used))))
        if self.since is not None:
            found.append(rows.at >= self.since)
        if self.until is not None:
            found.append(rows.at < self.until)
        if self.tool is not None:
            found.append(rows.tool == self.tool)
        if self.method is not None:
            below = rows.method.startswith(f"{self.method}.", autoescape=True)
            found.append(sa.or_(rows.method == self.method, below))
        return found


async def record(connection: AsyncConnection, *entries: AuditEntry) -> None:
    """Add rows in the caller's transaction: what they tell of and they themselves are there, or neither is."""
    for entry in entries:
        await _RECORD.execute(connection, _values(entry))


_RECORD = Prepared(audit_events.insert(), [column.name for column in audit_events.columns if not column.primary_key])


class Audit:
    """Adds to the trail and reads it; lives as long as the process and holds nothing but what it is just writing.

    Args:
        told: Told of rows that `append` has written; returns at once, and raises nothing.
    """

    def __init__(self, database: Database, told: Callable[[Sequence[AuditEntry]], None] | None = None) -> None:
        self._database = database
        self._told = told
        self._writing: set[asyncio.Task[None]] = set()

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Add rows, in one transaction. A caller that is cancelled meanwhile does not keep them from being written."""
        writing = asyncio.create_task(self._append(entries))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        try:
            await asyncio.wait([writing])
            writing.result()
        finally:
            del writing  # its error leads to this frame: no cycle

    async def of_message(self, message_id: str) -> list[AuditEntry]:
        """Return all that was done for one message, oldest first."""
        return await self.find(AuditSearch(message_id=message_id))

    async def find(self, search: AuditSearch) -> list[AuditEntry]:
        """Return the rows that a search finds, oldest first."""
        query = sa.select(audit_events).where(*search.conditions()).order_by(audit_events.c.number)
        async with self._database.reading() as connection:
            return [_entry(row) for row in await connection.execute(query)]

    async def _append(self, entries: Sequence[AuditEntry]) -> None:
        if len(entries) == 1:
            await self._database.change(_RECORD, _values(entries[0]))
        else:
            async with self._database.writing() as connection:
                await record(connection, *entries)
        if self._told is not None:
            self._told(entries)


def _values(entry: AuditEntry) -> dict[str, object]:
    return {
        **owner(entry.principal),
        "event": entry.event,
        "at": entry.at,
        "message_id": entry.message_id,
        "tool_call": entry.tool_call,
        "tool": entry.tool,
        "member": entry.member,
        "credential": entry.credential,
        "method": entry.method,
        "status": entry.status,
        "outcome": entry.outcome,
        "provider": entry.provider,
    }


def _entry(row: sa.Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        principal=principal_of(row),
        event=AuditEvent(row.event),
        at=row.at,
        message_id=row.message_id,
        tool_call=row.tool_call,
        tool=row.tool,
        member=row.member,
        credential=row.credential,
        method=row.method,
        status=row.status,
        outcome=row.outcome,
        provider=row.provider,
    )
