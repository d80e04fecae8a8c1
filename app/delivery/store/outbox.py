"""The outbox: what people have still to be told, a row each, written with the state that there is to tell.

waiting ─► sent | obsolete | given_up
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import messages, outbox, owned_by, owner, principal_of
from app.delivery.store.lease import FREE, MessageLease
from app.delivery.store.queries import of_conversation, stored
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal


class ReplyState(StrEnum):
    """Where a reply stands."""

    WAITING = "waiting"
    SENT = "sent"
    OBSOLETE = "obsolete"  # the message moved on before its person was told
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Reply:
    """One thing that a person has to be told. It holds no text: that is made out of the rows when it is sent.

    Attributes:
        reply_id: 32 hexadecimal digits, the same at every try.
        message_state: What there is to tell …
        message_attempt: … of which attempt; when the message has moved on there is nothing to tell.
        tries: How often it was begun; a change made for an earlier try is refused.
        owed_seconds: For how long it had been owed as it was read.
        refused: The channel said no the last time, so later replies need not wait for this one.
    """

    reply_id: str
    principal: Principal
    conversation: str
    message_id: str
    message_state: MessageState
    message_attempt: int
    tries: int
    owed_seconds: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A reply that this process holds: the message that it is about, as it is now, and how long it is held still."""

    message: StoredMessage
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Place:
    """A reply that waits, and how it can be had: it is this process's, it is free and due, or neither."""

    reply: Reply
    mine: bool
    free: bool
    due: bool


class Outbox:
    """Stores what is owed and hands each reply to one sender at a time; lives as long as the process, holds no reply.

    A new reply is leased to the process that owes it, so that sending it at once costs no further write.
    """

    def __init__(self, database: Database, lease: MessageLease) -> None:
        self._database = database
        self._lease = lease

    async def owe(self, connection: AsyncConnection, row: sa.Row[Any], *, held: bool = True) -> None:
        """Store, in the caller's transaction, that the state of this row of `messages` has to be told.

        Args:
            connection: The transaction that brings the message into the state.
            row: The message, as it is now.
            held: The caller has its own sender look right after; else whoever looks first sends it.
        """
        await connection.execute(
            outbox.insert().values(
                id=uuid.uuid4().hex,
                **owner(principal_of(row)),
                conversation=row.conversation,
                message_id=row.id,
                message_state=row.state,
                message_attempt=row.attempt,
                state=ReplyState.WAITING,
                tries=1 if held else 0,
                created_at=self._lease.time_of(connection),
                **(self._lease.taken(connection) if held else FREE),
            )
        )

    async def waiting(self, conversation: ConversationKey) -> list[Place]:
        """What waits in a conversation, in the order in which it has to be told."""
        async with self._database.reading() as connection:
            over = self._lease.is_over(outbox, connection)
            query = (
                sa.select(*self._read(connection))
                .add_columns(over.label("is_free"), self._is_due(connection).label("is_due"))
                .join(messages, messages.c.id == outbox.c.message_id)
                .where(of_conversation(conversation, outbox), outbox.c.state == ReplyState.WAITING)
                .order_by(outbox.c.created_at, messages.c.sequence, outbox.c.message_attempt)
            )
            rows = (await connection.execute(query)).all()
        return [
            Place(
                _reply(row),
                mine=row.lease_holder == self._lease.holder and not row.is_free,
                free=bool(row.is_free),
                due=bool(row.is_due),
            )
            for row in rows
        ]

    async def claim(self, reply: Reply) -> Reply | None:
        """Take a reply that nobody holds, for another try; None when somebody else was quicker."""
        async with self._database.writing() as connection:
            row = (
                await connection.execute(
                    outbox.update()
                    .where(
                        outbox.c.id == reply.reply_id,
                        outbox.c.state == ReplyState.WAITING,
                        outbox.c.tries == reply.tries,
                        self._lease.is_over(outbox, connection),
                    )
                    .values(tries=reply.tries + 1, **self._lease.taken(connection))
                    .returning(*self._read(connection))
                )
            ).one_or_none()
        return _reply(row) if row is not None else None

    async def held(self, reply: Reply) -> Held | None:
        """A reply as it is held by this process for this try; None when it was overtaken."""
        async with self._database.reading() as connection:
            left = outbox.c.lease_until - self._lease.time_of(connection)
            query = sa.select(messages, left.label("seconds_left")).join(outbox, messages.c.id == outbox.c.message_id)
            row = (await connection.execute(query.where(self._is_held(reply)))).one_or_none()
        return Held(stored(row), row.seconds_left) if row is not None else None

    async def hold_on(self, reply: Reply) -> bool:
        """Hold a reply for a whole lease from now on; False when it was overtaken."""
        async with self._database.writing() as connection:
            held = await connection.execute(self._change(reply, **self._lease.taken(connection)))
        return held.rowcount == 1

    async def message_of(self, reply: Reply) -> StoredMessage:
        """The message that a reply is about, whoever holds the reply.

        Raises:
            sqlalchemy.exc.NoResultFound: There is none.
        """
        theirs = owned_by(messages, reply.principal)
        async with self._database.reading() as connection:
            query = sa.select(messages).where(theirs, messages.c.id == reply.message_id)
            return stored((await connection.execute(query)).one())

    async def sent(self, reply: Reply) -> bool:
        """Say that the channel took it; False when it was overtaken."""
        async with self._database.writing() as connection:
            # First the message and then what is owed, as everybody locks them in this order.
            await connection.execute(
                messages.update()
                .where(
                    messages.c.id == reply.message_id,
                    messages.c.attempt == reply.message_attempt,
                    messages.c.state == reply.message_state,
                    sa.exists().where(self._is_held(reply)),
                )
                .values(replied_at=self._lease.time_of(connection))
            )
            sent = await connection.execute(self._change(reply, state=ReplyState.SENT, last_error=None, **FREE))
        return sent.rowcount == 1

    async def end(self, reply: Reply, state: ReplyState, error: str | None = None) -> bool:
        """Say that it will not be sent, as it is obsolete or was refused too often; False when it was overtaken."""
        async with self._database.writing() as connection:
            ended = await connection.execute(self._change(reply, state=state, last_error=error, **FREE))
        return ended.rowcount == 1

    async def try_later(self, reply: Reply, seconds: float, error: str | None) -> bool:
        """Let it wait; with an error, the channel refused it and later replies go first.

        False when it was overtaken.
        """
        async with self._database.writing() as connection:
            at = self._lease.time_of(connection) + seconds
            later = await connection.execute(self._change(reply, next_try_at=at, last_error=error, **FREE))
        return later.rowcount == 1

    async def forget(self, connection: AsyncConnection, principal: Principal) -> None:
        """Tell this person nothing of what is owed to them, in the caller's transaction; what is under way goes out."""
        theirs = sa.and_(owned_by(outbox, principal), outbox.c.state == ReplyState.WAITING)
        await connection.execute(outbox.update().where(theirs).values(state=ReplyState.OBSOLETE, **FREE))

    async def due(self) -> list[ConversationKey]:
        """Every conversation with a reply that nobody holds and whose time has come."""
        columns = (outbox.c.platform, outbox.c.tenant, outbox.c.conversation)
        async with self._database.reading() as connection:
            query = sa.select(*columns).where(
                outbox.c.state == ReplyState.WAITING,
                self._lease.is_over(outbox, connection),
                self._is_due(connection),
            )
            rows = (await connection.execute(query.distinct())).all()
        return [ConversationKey(*row) for row in rows]

    async def count(self) -> Mapping[ReplyState, int]:
        """How many replies there are in each state."""
        query = sa.select(outbox.c.state, sa.func.count().label("how_many")).group_by(outbox.c.state)
        async with self._database.reading() as connection:
            return {ReplyState(row.state): row.how_many for row in await connection.execute(query)}

    def _read(self, connection: AsyncConnection) -> list[sa.ColumnElement[Any]]:
        """The columns of a reply."""
        return [*outbox.c, (self._lease.time_of(connection) - outbox.c.created_at).label("owed_seconds")]

    def _is_due(self, connection: AsyncConnection) -> sa.ColumnElement[bool]:
        return sa.or_(outbox.c.next_try_at.is_(None), outbox.c.next_try_at <= self._lease.time_of(connection))

    def _is_held(self, reply: Reply) -> sa.ColumnElement[bool]:
        """The condition that this process holds the reply for this try."""
        return sa.and_(
            outbox.c.id == reply.reply_id,
            outbox.c.state == ReplyState.WAITING,
            outbox.c.tries == reply.tries,
            outbox.c.lease_holder == self._lease.holder,
        )

    def _change(self, reply: Reply, **values: object) -> sa.Update:
        """A change by whoever holds the reply for this try; it matches no row when it was overtaken."""
        return outbox.update().where(self._is_held(reply)).values(**values)


def _reply(row: sa.Row[Any]) -> Reply:
    return Reply(
        reply_id=row.id,
        principal=principal_of(row),
        conversation=row.conversation,
        message_id=row.message_id,
        message_state=MessageState(row.message_state),
        message_attempt=row.message_attempt,
        tries=row.tries,
        owed_seconds=row.owed_seconds,
        refused=row.last_error is not None,
    )
