"""The outbox: a row for each reply that is still to be sent, written together with the state that it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.prepared import Columns, Prepared
from app.database.tables import messages, outbox, owned_by, principal_of, whose
from app.delivery.store.lease import FREE, HOLDER, MessageLease, is_over, taken
from app.delivery.store.owing import ReplyState, owed, owing
from app.delivery.store.queries import ONE_OF_PERSON, is_due, naming, of_conversation, stored
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal

_READ = ("id", "message_state", "message_attempt", "tries", "last_error", "lease_holder")  # of a reply


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
    """A waiting reply, and whether it can be sent: this process holds it, it is free and due, or neither.

    Attributes:
        message: The message that the reply is about, as it was read with the reply.
        seconds_left: How long the lease still had when it was read.
    """

    reply: Reply
    message: StoredMessage
    mine: bool
    free: bool
    due: bool
    seconds_left: float


class Outbox:
    """Stores replies and gives each to one sender at a time; lives as long as the process and holds no reply.

    A new reply is leased to the process that stores it, so sending it at once needs no further write.
    """

    def __init__(self, database: Database, lease: MessageLease) -> None:
        self._database = database
        self._lease = lease
        self._statements = _statements(lease.time)

    async def owe(
        self, connection: AsyncConnection, message: StoredMessage, state: MessageState, *, held: bool = True
    ) -> None:
        """Store, in the caller's transaction, a reply about the state of a message.

        Args:
            connection: The transaction that brings the message into the state.
            message: The message, in its present attempt.
            state: The state that it is in now.
            held: The caller's own sender looks right after; otherwise the first process that looks sends it.
        """
        given = self._lease.given(**owed(message, state))
        await owing(self._lease.time, held=held).execute(connection, given)

    async def waiting(self, conversation: ConversationKey) -> list[PlaceInQueue]:
        """Return the waiting replies of a conversation in the order in which they have to be sent."""
        given = self._lease.given(**naming(conversation))
        rows = (await self._database.fetch(self._statements.waiting, given)).rows
        return [
            PlaceInQueue(
                _reply(row),
                stored(row),
                mine=row.reply_lease_holder == self._lease.holder and not row.is_free,
                free=bool(row.is_free),
                due=bool(row.is_due),
                seconds_left=row.seconds_left or 0.0,
            )
            for row in rows
        ]

    async def claim(self, reply: Reply) -> Reply | None:
        """Take a free reply for another try; return None if another process was quicker."""
        claimed = await self._change(self._statements.claim, reply)
        return replace(reply, tries=reply.tries + 1) if claimed else None

    async def held(self, reply: Reply) -> HeldReply | None:
        """Return the reply as this process holds it for this try; None if it was overtaken."""
        row = (await self._database.fetch(self._statements.held, self._try(reply))).one_or_none()
        return HeldReply(stored(row), row.seconds_left) if row is not None else None

    async def hold_on(self, reply: Reply) -> bool:
        """Hold a reply for a whole lease from now on; return False if it was overtaken."""
        return await self._change(self._statements.hold_on, reply)

    async def message_of(self, reply: Reply) -> StoredMessage:
        """Return the message that a reply is about, even if another process holds the reply.

        Raises:
            sqlalchemy.exc.NoResultFound: The message does not exist.
        """
        given = {**whose(reply.principal), "of_message": reply.message_id}
        row = (await self._database.fetch(ONE_OF_PERSON, given)).one_or_none()
        if row is None:
            raise sa.exc.NoResultFound("the reply's message does not exist")
        return stored(row)

    async def sent(self, reply: Reply) -> bool:
        """Store that the channel accepted the reply; return False if it was overtaken."""
        told = self._try(
            reply,
            of_message=reply.message_id,
            of_state=reply.message_state,
            of_attempt=reply.message_attempt,
        )
        if self._database.dialect.name == "postgresql":
            return (await self._database.change(self._statements.told, told)).rowcount == 1
        async with self._database.writing() as connection:
            await self._statements.replied.execute(connection, told)
            return (await self._statements.sent.execute(connection, told)).rowcount == 1

    async def end(self, reply: Reply, state: ReplyState, error: str | None = None) -> bool:
        """Store that the reply will not be sent: it is obsolete or was given up. Return False if it was overtaken."""
        return await self._change(self._statements.end, reply, new_state=state, new_error=error)

    async def try_later(self, reply: Reply, seconds: float, error: str | None) -> bool:
        """Let the reply wait; with an error, the channel refused it and later replies may go first.

        Return False if it was overtaken.
        """
        return await self._change(self._statements.try_later, reply, wait_seconds=seconds, new_error=error)

    async def forget(self, connection: AsyncConnection, principal: Principal) -> None:
        """Drop this person's waiting replies, in the caller's transaction; one that is being sent still goes out."""
        theirs = sa.and_(owned_by(outbox, principal), outbox.c.state == ReplyState.WAITING)
        await connection.execute(outbox.update().where(theirs).values(state=ReplyState.OBSOLETE, **FREE))

    async def due(self) -> list[ConversationKey]:
        """Return every conversation with a free reply that is due."""
        async with self._database.reading(long=True) as connection:
            rows = (await connection.execute(self._statements.due, self._lease.given())).all()
        return [ConversationKey(*row) for row in rows]

    async def count(self) -> Mapping[ReplyState, int]:
        """Return the number of replies in each state."""
        query = sa.select(outbox.c.state, sa.func.count().label("how_many")).group_by(outbox.c.state)
        async with self._database.reading(long=True) as connection:
            return {ReplyState(row.state): row.how_many for row in await connection.execute(query)}

    async def _change(self, statement: Prepared, reply: Reply, **others: object) -> bool:
        """Change a reply; return False if it was overtaken."""
        return (await self._database.change(statement, self._try(reply, **others))).rowcount == 1

    def _try(self, reply: Reply, **others: object) -> dict[str, object]:
        """Return the parameters of a statement about one try of a reply."""
        return self._lease.given(of_reply=reply.reply_id, of_try=reply.tries, **others)


class _Statements:
    """The statements about replies; they live as long as the process.

    Args:
        time: The time of the lease that they are given. A reply is given by `_try`, a conversation by `naming`.
    """

    def __init__(self, time: sa.ColumnElement[float]) -> None:
        is_message = messages.c.id == outbox.c.message_id
        seconds_left = (outbox.c.lease_until - time).label("seconds_left")
        is_try = sa.and_(
            outbox.c.id == sa.bindparam("of_reply"),
            outbox.c.state == ReplyState.WAITING,
            outbox.c.tries == sa.bindparam("of_try"),
        )
        is_held = sa.and_(is_try, outbox.c.lease_holder == HOLDER)
        new_error = sa.bindparam("new_error", type_=sa.String)
        wait = sa.bindparam("wait_seconds", type_=sa.Double)
        change = outbox.update().where(is_held)
        claim = outbox.update().where(is_try, is_over(outbox, time))
        self.claim = Prepared(claim.values(tries=outbox.c.tries + 1, **taken(time)))
        self.hold_on = Prepared(change.values(taken(time)))
        self.end = Prepared(change.values(state=sa.bindparam("new_state"), last_error=new_error, **FREE))
        self.try_later = Prepared(change.values(next_try_at=time + wait, last_error=new_error, **FREE))
        self.held = Prepared(sa.select(messages, seconds_left).join(outbox, is_message).where(is_held))
        self.waiting = Prepared(
            sa.select(messages, seconds_left)
            .add_columns(*(outbox.c[name].label(f"reply_{name}") for name in _READ))
            .add_columns(
                (time - outbox.c.created_at).label("owed_seconds"),
                is_over(outbox, time).label("is_free"),
                is_due(outbox, time).label("is_due"),
            )
            .join(outbox, is_message)
            .where(of_conversation(outbox), outbox.c.state == ReplyState.WAITING)
            .order_by(outbox.c.created_at, messages.c.sequence, outbox.c.message_attempt)
        )
        replied = (
            messages.update()
            .where(
                messages.c.id == sa.bindparam("of_message"),
                messages.c.attempt == sa.bindparam("of_attempt"),
                messages.c.state == sa.bindparam("of_state"),
                sa.exists().where(is_held),
            )
            .values(replied_at=time)
        )
        sent = change.values(state=ReplyState.SENT, last_error=None, **FREE)
        self.replied, self.sent = Prepared(replied), Prepared(sent)
        # On PostgreSQL both are one. The condition is always true; it has the message locked first and then the reply,
        # which is the order of all transactions.
        first = replied.returning(messages.c.id).cte("replied")
        self.told = Prepared(sent.where(sa.select(sa.func.count()).select_from(first).scalar_subquery() >= 0))
        self.due = (
            sa.select(outbox.c.platform, outbox.c.tenant, outbox.c.conversation)
            .where(outbox.c.state == ReplyState.WAITING, is_over(outbox, time), is_due(outbox, time))
            .distinct()
        )


@cache
def _statements(time: sa.ColumnElement[float]) -> _Statements:
    return _Statements(time)


def _reply(row: Columns) -> Reply:
    """Return the reply that a row of `waiting` says."""
    return Reply(
        reply_id=row.reply_id,
        principal=principal_of(row),
        conversation=row.conversation,
        message_id=row.id,
        message_state=MessageState(row.reply_message_state),
        message_attempt=row.reply_message_attempt,
        tries=row.reply_tries,
        owed_seconds=row.owed_seconds,
        refused=row.reply_last_error is not None,
    )
