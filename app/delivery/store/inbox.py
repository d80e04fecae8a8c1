"""Accepted messages: rows that are written before the acknowledgement and say what is still to be done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import begun_writes, messages, owned_by, parked_runs, principal_of
from app.database.transition import changing
from app.delivery.store.insert import enter
from app.delivery.store.lease import FREE, MessageLease, new_holder
from app.delivery.store.order import is_next, to_wake, undone_of_everybody
from app.delivery.store.outbox import Outbox
from app.delivery.store.queries import leaving, stored
from app.delivery.store.validation import check
from app.errors import NotFoundError, OffboardedError, UnavailableError
from app.messages import ConversationKey, InboundMessage, MessageState, StoredMessage, Version
from app.principal import Principal
from app.reply import LinkReply

_WOKEN_AT_ONCE = 200  # conversations
_IDS_AT_ONCE = 500  # of a statement; databases take some thousands of parameters at most

Alongside = Callable[[AsyncConnection], Awaitable[None]]
Admit = Callable[[Principal], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The message that comes next in a conversation: whose it is, and how often it was interrupted."""

    principal: Principal
    interruptions: int


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
            admit: Awaited with the sender before the message is stored; what it raises keeps it out.

        Raises:
            InvalidMessageError: There is no text, or a part is too long or cannot be stored.
            OffboardedError: The sender was offboarded; nothing is stored.
        """
        check(message)
        try:
            if admit is not None:
                await admit(message.principal)
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

    async def next_up(self, conversation: ConversationKey, besides: Collection[Principal] = ()) -> Upcoming | None:
        """Return which message `begin_next` would begin now; None when there is none."""
        async with self._database.reading() as connection:
            which = is_next(conversation, besides, self._lease.time_of(connection))
            row = (await connection.execute(sa.select(messages).where(which))).one_or_none()
        return Upcoming(principal_of(row), row.interruptions) if row is not None else None

    async def begin_next(
        self, conversation: ConversationKey, besides: Collection[Principal] = ()
    ) -> StoredMessage | None:
        """Take the oldest undone message of a conversation into work, under a lease; None when none can be begun.

        None can while another one is in work. One that waits for another try holds up its own person's later ones.

        Args:
            conversation: Where.
            besides: Of these people none is begun.
        """
        try:
            async with self._database.writing() as connection:
                begun = await connection.execute(
                    changing(
                        messages,
                        is_next(conversation, besides, self._lease.time_of(connection)),
                        MessageState.NEW,
                        MessageState.RUNNING,
                        attempt=messages.c.attempt + 1,
                        changed_at=self._now(),
                        **self._lease.taken(connection),
                    ).returning(*messages.c)
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

    async def put_back(self, message: StoredMessage, *, suspect: bool = True) -> bool:
        """Make a message that was interrupted undone again; it keeps its place. False when it was overtaken.

        Args:
            message: What was interrupted.
            suspect: The message itself may be why; from then on it is tried with care.
        """
        interruptions = messages.c.interruptions + (1 if suspect else 0)
        return await self._leave(message, MessageState.NEW, interruptions=interruptions)

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
        await self._put_back(sa.true(), suspect=True)

    async def put_back_lost(self, in_hands: Collection[ConversationKey]) -> None:
        """Make undone again what is in work by its row and in nobody's hands.

        Either its lease has run out because its process died or froze, and then the message may be why; or this very
        process holds it and has it in none of these conversations, because its end could not be stored.
        """
        async with self._database.reading() as connection:
            is_over = self._lease.is_over(messages, connection)
            lost = sa.or_(is_over, messages.c.lease_holder == self._lease.holder)
            query = sa.select(messages).where(messages.c.state == MessageState.RUNNING, lost)
            rows = (await connection.execute(query.add_columns(is_over))).all()
        for row in rows:
            message, is_over_now = stored(row), bool(row[-1])
            if is_over_now or ConversationKey.of(message) not in in_hands:
                this = sa.and_(messages.c.id == row.id, messages.c.attempt == row.attempt)
                mine = row.lease_holder == self._lease.holder
                await self._put_back(this, suspect=not mine, over=is_over_now)

    async def conversations_with_work(self) -> list[ConversationKey]:
        """Return conversations with a message that can be begun, at most 200; their people take turns in the list."""
        async with self._database.reading() as connection:
            query = to_wake(self._lease.time_of(connection), at_most=_WOKEN_AT_ONCE)
            rows = (await connection.execute(query)).all()
        return [ConversationKey(*row) for row in rows]

    async def count_undone(self) -> Counter[Principal]:
        """Return how many messages wait to be begun, by person."""
        async with self._database.reading() as connection:
            rows = await connection.execute(undone_of_everybody())
            return Counter({principal_of(row): row.how_many for row in rows})

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

    async def _put_back(self, which: sa.ColumnElement[bool], *, suspect: bool, over: bool = False) -> None:
        async with self._database.writing() as connection:
            await connection.execute(
                changing(
                    messages,
                    which,
                    MessageState.RUNNING,
                    MessageState.NEW,
                    fence=self._lease.is_over(messages, connection) if over else None,
                    interruptions=messages.c.interruptions + (1 if suspect else 0),
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
