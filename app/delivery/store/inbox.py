"""Accepted messages: rows that are written before the acknowledgement and say what is still to be done."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import begun_writes, messages, owned_by, parked_runs, principal_of
from app.delivery.store.insert import enter
from app.delivery.store.lease import FREE, MessageLease, new_holder
from app.delivery.store.outbox import Outbox
from app.delivery.store.queries import leaving, of_conversation, stored
from app.delivery.store.validation import check
from app.errors import NotFoundError, OffboardedError, UnavailableError
from app.messages import ConversationKey, InboundMessage, MessageState, StoredMessage, Version
from app.principal import Principal
from app.reply import LinkReply

_WOKEN_AT_ONCE = 200  # conversations
_IDS_AT_ONCE = 500  # of a statement; databases take some thousands of parameters at most

Alongside = Callable[[AsyncConnection], Awaitable[None]]
Admit = Callable[[], Awaitable[None]]


class Inbox:
    """Stores messages and moves them through their states; lives as long as the process and holds no message.

    A running row is leased to the process that works on it. Every change of one names the attempt it was made for, so
    that whoever was overtaken changes nothing; and what there is to tell is owed in the same transaction.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], float] = time.time,
        lease: MessageLease = MessageLease(new_holder()),
    ) -> None:
        self._database = database
        self._now = now
        self._lease = lease
        self._outbox = Outbox(database, lease)

    async def accept(self, message: InboundMessage, admit: Admit | None = None) -> tuple[StoredMessage, bool]:
        """Store a message once. Returns the row, and False when its event id was already there.

        Args:
            message: What arrived.
            admit: Awaited before a new one is stored; what it raises keeps it out.

        Raises:
            InvalidMessageError: There is no text, or a part is too long or cannot be stored.
            OffboardedError: The sender was offboarded; nothing is stored.
        """
        check(message)
        try:
            if admit is not None:
                await admit()
            # Without a look first: nearly every message is new, and the look took a third of what accepting one costs.
            return await self._insert(message), True
        except (IntegrityError, UnavailableError):
            known = await self.find(message)
            if known is None:
                raise
            return known, False

    async def get(self, principal: Principal, message_id: str) -> StoredMessage:
        """This person's message.

        Raises:
            NotFoundError: There is none with this id, or it is somebody else's.
        """
        row = await self._one(sa.select(messages).where(owned_by(messages, principal), messages.c.id == message_id))
        if row is None:
            raise NotFoundError("there is no such message of yours")
        return stored(row)

    async def versions(self, message_ids: Iterable[str]) -> dict[str, Version]:
        """Return the state and attempt of each of these messages, whoever wrote them; no contents."""
        query = sa.select(messages.c.id, messages.c.state, messages.c.attempt)
        ids, versions = [*message_ids], {}
        async with self._database.reading() as connection:
            for start in range(0, len(ids), _IDS_AT_ONCE):
                some = messages.c.id.in_(ids[start : start + _IDS_AT_ONCE])
                for row in await connection.execute(query.where(some)):
                    versions[row.id] = (MessageState(row.state), row.attempt)
        return versions

    async def next_sender(self, conversation: ConversationKey) -> Principal | None:
        """Whose message is the next one that can be begun now; None when there is none."""
        async with self._database.reading() as connection:
            query = sa.select(messages).where(self._is_next(conversation, connection))
            row = (await connection.execute(query)).one_or_none()
        return principal_of(row) if row is not None else None

    async def begin_next(self, conversation: ConversationKey) -> StoredMessage | None:
        """Take the oldest undone message of a conversation into work, under a lease; None when there is none to begin.

        There is none while another one is in work, and none while the oldest one waits for another try: order first.
        """
        try:
            async with self._database.writing() as connection:
                begun = await connection.execute(
                    messages.update()
                    .where(self._is_next(conversation, connection))
                    .values(
                        state=MessageState.RUNNING,
                        attempt=messages.c.attempt + 1,
                        changed_at=self._now(),
                        **self._lease.taken(connection),
                    )
                    .returning(*messages.c)
                )
                row = begun.one_or_none()
        except IntegrityError:  # another process has begun another one of it at the same moment
            return None
        return stored(row) if row is not None else None

    async def renew(self, in_work: Collection[StoredMessage]) -> list[StoredMessage]:
        """Renew the leases of these messages; returns those that are another's by now, or ended."""
        ids = [message.message_id for message in in_work]
        async with self._database.writing() as connection:
            rows = await connection.execute(
                messages.update()
                .where(
                    messages.c.id.in_(ids),
                    messages.c.state == MessageState.RUNNING,
                    messages.c.lease_holder == self._lease.holder,
                )
                .values(self._lease.taken(connection))
                .returning(messages.c.id, messages.c.attempt)
            )
            mine = {(row.id, row.attempt) for row in rows}
        return [message for message in in_work if (message.message_id, message.attempt) not in mine]

    async def put_back(self, message: StoredMessage) -> bool:
        """Make a message that was interrupted undone again; it keeps its place. False when it was overtaken."""
        return await self._leave(message, MessageState.NEW, interruptions=messages.c.interruptions + 1)

    async def try_later(self, message: StoredMessage, seconds: float, error: str) -> bool:
        """Let a message wait for another try after a passing fault; those behind it wait too.

        False when it was overtaken.
        """
        faults = messages.c.failures + 1
        return await self._leave(message, MessageState.NEW, wait_seconds=seconds, failures=faults, last_error=error)

    async def finish(
        self, message: StoredMessage, answer: str | LinkReply, *, private: bool, alongside: Alongside | None = None
    ) -> bool:
        """Store the answer; what was parked for the message is gone. False when it was overtaken.

        Args:
            message: What is answered.
            answer: What its sender is told.
            private: They alone are told.
            alongside: What else is stored with the answer, in the same transaction, and not when it was overtaken.
        """
        text, link_id = (answer.text, answer.link_id) if isinstance(answer, LinkReply) else (answer, None)
        return await self._leave(message, MessageState.DONE, alongside, answer=text, link_id=link_id, private=private)

    async def fail(self, message: StoredMessage, apology: str, error: str | None = None) -> bool:
        """Give the message up, with what the person is told and the error's class. False when it was overtaken."""
        return await self._leave(message, MessageState.FAILED, answer=apology, last_error=error)

    async def recover(self) -> None:
        """Make undone again all that is in work. Call it only when no other process can be at work."""
        await self._put_back(sa.true())

    async def put_back_lost(self, in_hands: Collection[ConversationKey]) -> None:
        """Make undone again what is in work by its row and in nobody's hands.

        Its lease has run out, as its process ended; or it is this process's and in none of these conversations, as its
        end could not be stored.
        """
        async with self._database.reading() as connection:
            lost = sa.or_(self._lease.is_over(messages, connection), messages.c.lease_holder == self._lease.holder)
            query = sa.select(messages).where(messages.c.state == MessageState.RUNNING, lost)
            rows = (await connection.execute(query.add_columns(self._lease.is_over(messages, connection)))).all()
        for row in rows:
            message, is_over = stored(row), bool(row[-1])
            if is_over or ConversationKey.of(message) not in in_hands:
                await self._put_back(sa.and_(messages.c.id == row.id, messages.c.attempt == row.attempt), over=is_over)

    async def conversations_with_work(self) -> list[ConversationKey]:
        """Conversations with an undone message whose time has come: those that have waited longest, and not all."""
        columns = (messages.c.platform, messages.c.tenant, messages.c.conversation)
        async with self._database.reading() as connection:
            due = sa.or_(messages.c.next_try_at.is_(None), messages.c.next_try_at <= self._lease.time_of(connection))
            query = sa.select(*columns).where(messages.c.state == MessageState.NEW, due).group_by(*columns)
            longest = query.order_by(sa.func.min(messages.c.changed_at)).limit(_WOKEN_AT_ONCE)
            rows = (await connection.execute(longest)).all()
        return [ConversationKey(*row) for row in rows]

    async def count_undone(self) -> int:
        """How many messages wait to be begun."""
        query = sa.select(sa.func.count()).select_from(messages).where(messages.c.state == MessageState.NEW)
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def find(self, message: InboundMessage) -> StoredMessage | None:
        """The row of this event, if it was stored before."""
        row = await self._one(
            sa.select(messages).where(
                messages.c.platform == message.principal.platform,
                messages.c.tenant == message.principal.tenant,
                messages.c.event_id == message.event_id,
            )
        )
        return stored(row) if row is not None else None

    async def _insert(self, message: InboundMessage) -> StoredMessage:
        async with self._database.writing() as connection:
            entered = await enter(connection, message, self._now())
        if entered is None:
            raise OffboardedError(f"{message.principal} was offboarded; `deputy users restore` lets them in again")
        return entered

    def _is_next(self, conversation: ConversationKey, connection: AsyncConnection) -> sa.ColumnElement[bool]:
        """The condition that a row is the one of its conversation that can be begun now."""
        others = messages.alias()
        oldest = (
            sa.select(others.c.id)
            .where(of_conversation(conversation, others), others.c.state == MessageState.NEW)
            .order_by(others.c.sequence)
            .limit(1)
            .scalar_subquery()
        )
        in_work = sa.exists().where(of_conversation(conversation, others), others.c.state == MessageState.RUNNING)
        return sa.and_(
            messages.c.id == oldest,
            messages.c.state == MessageState.NEW,  # looked at again by PostgreSQL when another one was quicker
            sa.or_(messages.c.next_try_at.is_(None), messages.c.next_try_at <= self._lease.time_of(connection)),
            ~in_work,
        )

    async def _put_back(self, which: sa.ColumnElement[bool], *, over: bool = False) -> None:
        async with self._database.writing() as connection:
            still = self._lease.is_over(messages, connection) if over else sa.true()
            await connection.execute(
                messages.update()
                .where(messages.c.state == MessageState.RUNNING, which, still)
                .values(
                    state=MessageState.NEW,
                    interruptions=messages.c.interruptions + 1,
                    changed_at=self._now(),
                    **FREE,
                )
            )

    async def _leave(
        self,
        message: StoredMessage,
        state: MessageState,
        alongside: Alongside | None = None,
        *,
        wait_seconds: float | None = None,
        **values: object,
    ) -> bool:
        async with self._database.writing() as connection:
            if wait_seconds is not None:
                values["next_try_at"] = self._lease.time_of(connection) + wait_seconds
            left = await connection.execute(leaving(message, state, self._now(), **values).returning(*messages.c))
            row = left.one_or_none()
            if row is None:
                return False
            if state in (MessageState.DONE, MessageState.FAILED):
                tables = (parked_runs, begun_writes) if message.attempt > 1 else (begun_writes,)
                for table in tables:  # only what was begun before can have been parked
                    await connection.execute(table.delete().where(table.c.message_id == message.message_id))
                await self._outbox.owe(connection, row)
            if alongside is not None:
                await alongside(connection)
        return True

    async def _one(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        async with self._database.reading() as connection:
            row: sa.Row[Any] | None = (await connection.execute(query)).one_or_none()
        return row
