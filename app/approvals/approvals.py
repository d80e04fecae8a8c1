"""Stored approvals: tool calls that wait for their person's decision, and the claim that lets each run once.

pending ─► approved ─► running ─► done
   └─► denied | expired
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.form import Answers, Form
from app.audit.audit import AuditEntry, AuditEvent, record
from app.database.database import Database, take_turns
from app.database.prepared import Columns, Prepared, inserting
from app.database.tables import approvals, of_person, owned_by, owner, principal_of, whose
from app.principal import Principal


class ApprovalState(StrEnum):
    """The state of an approval."""

    PENDING = "pending"
    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A tool call that waits: the id that the model gave it, the tool, and exactly what will run.

    Attributes:
        form: The question that the tool asks in the middle of the call; None for a call that waits for approval.
    """

    call_id: str
    tool: str
    arguments: Mapping[str, Any] = field(repr=False)
    form: Form | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval as stored.

    Attributes:
        approval_id: 32 hexadecimal digits.
        code: The 4 hexadecimal digits that the person types; unique among this person's approvals.
        expires_at: When it can no longer be decided, POSIX seconds.
        decided_at: When its person decided, POSIX seconds; None if they have not.
        answers: Their answers to the call's form, until the call has ended.
    """

    approval_id: str
    principal: Principal
    code: str
    message_id: str
    call: PendingCall
    state: ApprovalState
    expires_at: float
    decided_at: float | None = None
    answers: Answers | None = field(default=None, repr=False)


_OLDEST_FIRST = sa.select(approvals).where(of_person(approvals)).order_by(approvals.c.created_at, approvals.c.id)
_OF_MESSAGE = Prepared(_OLDEST_FIRST.where(approvals.c.message_id == sa.bindparam("of_message")))
_PENDING = Prepared(
    _OLDEST_FIRST.where(
        approvals.c.state == ApprovalState.PENDING, approvals.c.expires_at > sa.bindparam("now", type_=sa.Double)
    )
)
_OF_CODE = Prepared(sa.select(approvals).where(of_person(approvals), approvals.c.code == sa.bindparam("of_code")))
_CODES = Prepared(sa.select(approvals.c.code).where(of_person(approvals)))


def forgetting_answers(which: sa.ColumnElement[bool]) -> sa.Update:
    """Return the statement that erases people's answers to tools' questions, which nothing needs once a message ended.

    Args:
        which: The condition on `approvals`.
    """
    return approvals.update().where(which, approvals.c.answer.is_not(None)).values(answer=None)


FORGET_ANSWERS = Prepared(forgetting_answers(approvals.c.message_id == sa.bindparam("of_message")))
"""Erases the answers that the message `of_message` was given."""


class Approvals:
    """Stores approvals; lives as long as the process. Only the person who was asked can decide or claim one."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def ask(
        self,
        connection: AsyncConnection,
        principal: Principal,
        message_id: str,
        calls: Sequence[PendingCall],
        *,
        expires_at: float,
    ) -> None:
        """Store calls that wait for this person, in the caller's transaction."""
        await take_turns(connection, "approvals", principal.platform, principal.tenant, principal.user)
        taken = {row.code for row in (await _CODES.execute(connection, whose(principal))).rows}
        for call in calls:
            code = _fresh_code(taken)
            taken.add(code)
            row = {
                "id": uuid.uuid4().hex,
                **owner(principal),
                "code": code,
                "message_id": message_id,
                "call_id": call.call_id,
                "tool": call.tool,
                "arguments": _text(call.arguments),
                "form": _forms().dump_json(call.form).decode() if call.form else None,
                "state": ApprovalState.PENDING,
                "created_at": self._now(),
                "expires_at": expires_at,
            }
            await inserting(approvals, *row).execute(connection, row)

    async def of_message(self, principal: Principal, message_id: str) -> list[Approval]:
        """Return the approvals of this person's message, oldest first."""
        found = await self._database.fetch(_OF_MESSAGE, {**whose(principal), "of_message": message_id})
        return [_approval(row) for row in found.rows]

    async def find(self, principal: Principal, code: str) -> Approval | None:
        """Return this person's approval with this code, or None when they have none."""
        row = (await self._database.fetch(_OF_CODE, {**whose(principal), "of_code": code})).one_or_none()
        return _approval(row) if row is not None else None

    async def pending(self, principal: Principal) -> list[Approval]:
        """Return the approvals that this person can decide on now, oldest first."""
        found = await self._database.fetch(_PENDING, {**whose(principal), "now": self._now()})
        return [_approval(row) for row in found.rows]

    async def decide(
        self, principal: Principal, code: str, *, approved: bool, answers: Answers | None = None
    ) -> Approval | None:
        """Take this person's decision, with their answers to a form; None if nothing of that code is pending."""
        mine = sa.and_(
            owned_by(approvals, principal),
            approvals.c.code == code.lower(),
            approvals.c.state == ApprovalState.PENDING,
            approvals.c.expires_at > self._now(),
        )
        decision = ApprovalState.APPROVED if approved else ApprovalState.DENIED
        at = self._now()
        values = {"state": decision, "decided_at": at, "answer": None if answers is None else json.dumps(answers)}
        async with self._database.writing() as connection:
            decide = approvals.update().where(mine).values(values).returning(*approvals.c)
            row = (await connection.execute(decide)).one_or_none()
            if row is not None:
                event = AuditEvent.APPROVE if approved else AuditEvent.DENY
                await record(
                    connection, AuditEntry(principal, event, at, row.message_id, tool_call=row.id, tool=row.tool)
                )
        return _approval(row) if row is not None else None

    async def claim(self, principal: Principal, approval_id: str, call: PendingCall) -> bool:
        """Claim an approved call right before it runs: true once, and only for exactly what was shown."""
        shown = {"call_id": call.call_id, "tool": call.tool, "arguments": _text(call.arguments)}
        return await self._step(principal, approval_id, ApprovalState.APPROVED, ApprovalState.RUNNING, **shown)

    async def give_back(self, principal: Principal, approval_id: str) -> bool:
        """Undo a claim, because the call was certainly not done; return whether it was there to be undone."""
        return await self._step(principal, approval_id, ApprovalState.RUNNING, ApprovalState.APPROVED)

    async def complete(self, principal: Principal, approval_id: str) -> None:
        """Mark a claimed call as done, with or without success, and forget the answers that it went on with."""
        mine = sa.and_(owned_by(approvals, principal), approvals.c.id == approval_id)
        done = sa.and_(mine, approvals.c.state == ApprovalState.RUNNING)
        async with self._database.writing() as connection:
            await connection.execute(approvals.update().where(done).values(state=ApprovalState.DONE, answer=None))

    async def expire(self, connection: AsyncConnection, message_id: str) -> None:
        """Let a message's pending approvals expire and forget its answers, in the caller's transaction."""
        await connection.execute(
            approvals.update()
            .where(approvals.c.message_id == message_id, approvals.c.state == ApprovalState.PENDING)
            .values(state=ApprovalState.EXPIRED)
        )
        await FORGET_ANSWERS.execute(connection, {"of_message": message_id})

    async def _step(
        self,
        principal: Principal,
        approval_id: str,
        before: ApprovalState,
        after: ApprovalState,
        **same: object,
    ) -> bool:
        mine = sa.and_(
            owned_by(approvals, principal),
            approvals.c.id == approval_id,
            approvals.c.state == before,
            *(approvals.c[name] == value for name, value in same.items()),
        )
        async with self._database.writing() as connection:
            result = await connection.execute(approvals.update().where(mine).values(state=after))
        return result.rowcount == 1


def _text(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)  # one text for one meaning: `claim` compares it


def _fresh_code(taken: set[str]) -> str:
    """Return a code that this person has not been shown before; longer once most short ones are used."""
    length_bytes = 2 if len(taken) < 30_000 else 4
    while (code := secrets.token_hex(length_bytes)) in taken:
        pass
    return code


def _approval(row: Columns) -> Approval:
    return Approval(
        approval_id=row.id,
        principal=principal_of(row),
        code=row.code,
        message_id=row.message_id,
        call=PendingCall(
            row.call_id, row.tool, json.loads(row.arguments), _forms().validate_json(row.form) if row.form else None
        ),
        state=ApprovalState(row.state),
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        answers=json.loads(row.answer) if row.answer else None,
    )


@cache
def _forms() -> TypeAdapter[Form]:
    """Return the adapter, made when the first question is asked, because few processes need it."""
    return TypeAdapter(Form)
