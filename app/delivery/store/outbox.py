"""The outbox: a row for each reply that is still to be sent, written together with the state that it reports.

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
    """The state of a reply."""

    WAITING = "waiting"
    SENT = "sent"
    OBSOLETE = "obsolete"  # the message changed again before the reply was sent
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply to a person. It holds no text: the text is written from the rows when the reply is sent.

    Attributes:
        reply_id: 32 hexadecimal digits, the same at every try.
        message_state: The state of the message that the reply reports …
        message_attempt: … and its attempt; if the message has changed since, the reply is obsolete.
        tries: How often sending was begun; a change made for an earlier try is refused.
        owed_seconds: How long the reply had been waiting when it was read.
        refused: The channel refused it the last time, so later replies need not wait for it.
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
class HeldReply:
    """A reply that this process holds: its message as it is now, and the time left of the lease."""

    message: StoredMessage
    seconds_left: float


@dataclass(frozen=True, slots=True)
class PlaceInQueue:
    """A waiting reply, and whether it can be sent: this process holds it, it is free and due, or neither."""

    reply: Reply
    mine: bool
    free: bool
    due: bool


class Outbox:
    """Stores replies and gives each to one sender at a time; lives as long as the process and holds no reply.

    A new reply is leased to the process that stores it, so sending it at once needs no further write.
    """

    def __init__(self, database: Database, lease: MessageLease) -> None:
        self._database = database
        self._lease = lease

    async def owe(self, connection: AsyncConnection, row: sa.Row[Any], *, held: bool = True) -> None:
        """Store, in the caller's transaction, a reply about the state of this row of `messages`.

        Args:
            connection: The transaction that brings the message into the state.
            row: The message as it is now.
            held: The caller's own sender looks right after; otherwise the first process that looks sends it.
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

    async def waiting(self, conversation: ConversationKey) -> list[PlaceInQueue]:
        """Return the waiting replies of a conversation in the order in which they have to be sent."""
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
            PlaceInQueue(
                _reply(row),
                mine=row.lease_holder == self._lease.holder and not row.is_free,
                free=bool(row.is_free),
                due=bool(row.is_due),
            )
            for row in rows
        ]

    async def claim(self, reply: Reply) -> Reply | None:
        """Take a free reply for another try; return None if another process was quicker."""
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

    async def held(self, reply: Reply) -> HeldReply | None:
        """Return the reply as this process holds it for this try; None if it was overtaken."""
        async with self._database.reading() as connection:
            left = outbox.c.lease_until - self._lease.time_of(connection)
            query = sa.select(messages, left.label("seconds_left")).join(outbox, messages.c.id == outbox.c.message_id)
            row = (await connection.execute(query.where(self._is_held(reply)))).one_or_none()
        return HeldReply(stored(row), row.seconds_left) if row is not None else None

    async def hold_on(self, reply: Reply) -> bool:
        """Hold a reply for a whole lease from now on; return False if it was overtaken."""
        async with self._database.writing() as connection:
            held = await connection.execute(self._change(reply, **self._lease.taken(connection)))
        return held.rowcount == 1

    async def message_of(self, reply: Reply) -> StoredMessage:
        """Return the message that a reply is about, even if another process holds the reply.

        Raises:
            sqlalchemy.exc.NoResultFound: The message does not exist.
        """
        theirs = owned_by(messages, reply.principal)
        async with self._database.reading() as connection:
            query = sa.select(messages).where(theirs, messages.c.id == reply.message_id)
            return stored((await connection.execute(query)).one())

    async def sent(self, reply: Reply) -> bool:
        """Store that the channel accepted the reply; return False if it was overtaken."""
        async with self._database.writing() as connection:
            # First the message and then the reply: all transactions lock them in this order.
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
        """Store that the reply will not be sent: it is obsolete or was given up. Return False if it was overtaken."""
        async with self._database.writing() as connection:
            ended = await connection.execute(self._change(reply, state=state, last_error=error, **FREE))
        return ended.rowcount == 1

    async def try_later(self, reply: Reply, seconds: float, error: str | None) -> bool:
        """Let the reply wait; with an error, the channel refused it and later replies may go first.

        Return False if it was overtaken.
        """
        async with self._database.writing() as connection:
            at = self._lease.time_of(connection) + seconds
            later = await connection.execute(self._change(reply, next_try_at=at, last_error=error, **FREE))
        return later.rowcount == 1

    async def forget(self, connection: AsyncConnection, principal: Principal) -> None:
        """Drop this person's waiting replies, in the caller's transaction; one that is being sent still goes out."""
        theirs = sa.and_(owned_by(outbox, principal), outbox.c.state == ReplyState.WAITING)
        await connection.execute(outbox.update().where(theirs).values(state=ReplyState.OBSOLETE, **FREE))

    async def due(self) -> list[ConversationKey]:
        """Return every conversation with a free reply that is due."""
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
        """Return the number of replies in each state."""
        query = sa.select(outbox.c.state, sa.func.count().label("how_many")).group_by(outbox.c.state)
        async with self._database.reading() as connection:
            return {ReplyState(row.state): row.how_many for row in await connection.execute(query)}

    def _read(self, connection: AsyncConnection) -> list[sa.ColumnElement[Any]]:
        """Return the columns of a reply."""
        return [*outbox.c, (self._lease.time_of(connection) - outbox.c.created_at).label("owed_seconds")]

    def _is_due(self, connection: AsyncConnection) -> sa.ColumnElement[bool]:
        return sa.or_(outbox.c.next_try_at.is_(None), outbox.c.next_try_at <= self._lease.time_of(connection))

    def _is_held(self, reply: Reply) -> sa.ColumnElement[bool]:
        """Return the condition that this process holds the reply for this try."""
        return sa.and_(
            outbox.c.id == reply.reply_id,
            outbox.c.state == ReplyState.WAITING,
            outbox.c.tries == reply.tries,
            outbox.c.lease_holder == self._lease.holder,
        )

    def _change(self, reply: Reply, **values: object) -> sa.Update:
        """Return a change by the process that holds the reply for this try; overtaken, it matches no row."""
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
