"""The statement that inserts a message. It is compiled once because every message needs it."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert

from app.database.database import Database, lock_of
from app.database.prepared import Prepared
from app.database.tables import messages, owner, users
from app.delivery.store.attachments import dump
from app.messages import InboundMessage, MessageState, StoredMessage

_GIVEN = (
    *("id", "platform", "tenant", "user_id", "event_id", "conversation", "body", "address", "attachments"),
    *("state", "attempt", "interruptions", "failures", "payload", "private", "created_at", "changed_at"),
)


def _statement(*, at_once: bool = False) -> ReturningInsert[int]:
    given = {name: sa.bindparam(name, type_=messages.c[name].type) for name in _GIVEN}
    of_conversation = (messages.c[name] == given[name] for name in ("platform", "tenant", "conversation"))
    last = sa.select(sa.func.coalesce(sa.func.max(messages.c.sequence), 0)).where(*of_conversation).scalar_subquery()
    of_person = (users.c[name] == given[name] for name in ("platform", "tenant", "user_id"))
    offboarded = sa.exists().where(*of_person, users.c.offboarded_at.is_not(None))
    row = sa.select(*given.values(), last + 1).where(~offboarded)
    columns = [*given, "sequence"]
    if at_once:
        is_free = sa.func.pg_try_advisory_xact_lock(sa.bindparam("turn", type_=sa.BigInteger), type_=sa.Boolean)
        entering = postgresql.insert(messages).from_select(columns, row.where(is_free)).on_conflict_do_nothing()
        return entering.returning(messages.c.sequence)
    return messages.insert().from_select(columns, row).returning(messages.c.sequence)


_ENTER = Prepared(_statement())
_ENTER_AT_ONCE = Prepared(_statement(at_once=True))


async def enter(database: Database, message: InboundMessage, now: float) -> StoredMessage | None:
    """Store a message at the end of its conversation; return None, storing nothing, if its sender was offboarded.

    On PostgreSQL it is first tried in one round trip, which nearly always succeeds. That stores nothing while somebody
    else has the turn, nor if a message was committed after the statement had begun and took its sequence.

    Args:
        database: Where it is stored, in a transaction of its own.
        message: The message.
        now: The time, POSIX seconds.

    Raises:
        sqlalchemy.exc.IntegrityError: The event is stored already.
    """
    principal = message.principal
    message_id, address = uuid.uuid4().hex, dict(message.address)
    given = {
        "id": message_id,
        **owner(principal),
        "event_id": message.event_id,
        "conversation": message.conversation,
        "body": message.text,
        "address": address,
        "attachments": dump(message.attachments),
        "state": MessageState.NEW,
        "attempt": 0,
        "interruptions": 0,
        "failures": 0,
        "payload": message.payload,
        "private": False,
        "created_at": now,
        "changed_at": now,
    }
    turn = ("messages", principal.platform, principal.tenant, message.conversation)  # each sequence is given once
    entered = None
    if database.dialect.name == "postgresql":
        entered = (await database.change(_ENTER_AT_ONCE, {**given, "turn": lock_of(turn)})).one_or_none()
    if entered is None:
        async with database.writing(turn=turn) as connection:
            entered = (await _ENTER.execute(connection, given)).one_or_none()
    if entered is None:
        return None
    return StoredMessage(
        message_id=message_id,
        principal=principal,
        conversation=message.conversation,
        sequence=entered.sequence,
        text=message.text,
        address=address,
        state=MessageState.NEW,
        attempt=0,
        interruptions=0,
        failures=0,
        answer=None,
        link_id=None,
        private=False,
        created_at=now,
        attachments=message.attachments,
    )
