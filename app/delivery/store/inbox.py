"""Accepted messages: rows that are written before the acknowledgement and record what is still to be done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.database.database import Database
from app.database.prepared import Prepared
from app.database.tables import messages, principal_of, whose
from app.database.transition import changing
from app.delivery.store.ending import Ending
from app.delivery.store.insert import enter
from app.delivery.store.lease import FREE, HOLDER, MessageLease, is_over, new_holder, taken
from app.delivery.store.order import (
    ANYTHING_UNDONE,
    beginning,
    conversations_to_wake,
    lost,
    skipping,
    undone_of_everybody,
    upcoming,
    waiting_again,
)
from app.delivery.store.queries import ONE_OF_PERSON, leave, leaving_with, naming, stored
from app.delivery.store.validation import check
from app.errors import NotFoundError, OffboardedError, UnavailableError
from app.messages import ConversationKey, InboundMessage, MessageState, StoredMessage, Version
from app.principal import Principal
from app.reply import LinkReply
from app.sent_files import FileReference, dump_files

_WOKEN_AT_ONCE = 200  # conversations
_IDS_AT_ONCE = 500  # in one statement; databases limit its parameters to a few thousand

_OF_EVENT = Prepared(
    sa.select(messages).where(
        messages.c.platform == sa.bindparam("of_platform"),
        messages.c.tenant == sa.bindparam("of_tenant"),
        messages.c.event_id == sa.bindparam("of_event"),
    )
)

Admit = Callable[[Principal], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next message of a conversation.

    Attributes:
        principal: Its sender.
        interruptions: How often it was interrupted.
        more: Other messages of the conversation wait too. Each one that is stored later comes with a wake-up.
    """

    principal: Principal
    interruptions: int
    more: bool = True


class Inbox:
    """Stores messages and moves them through their states; lives as long as the process and holds no message.

    A running row is leased to the process that works on it. Each change names the attempt it was made for, so a
    process that was overtaken changes nothing. The reply about a new state is queued in the same transaction.
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
        self._ending = Ending(database, lease)

    async def accept(self, message: InboundMessage, admit: Admit | None = None) -> tuple[StoredMessage, bool]:
        """Store a message once. Return the row, and False if its event id was already stored.

        Args:
            message: The message that arrived.
            admit: Awaited with the sender before the message is stored; if it raises, nothing is stored.

        Raises:
            InvalidMessageError: There is no text, or a part is too long or cannot be stored.
            OffboardedError: The sender was offboarded; nothing is stored.
        """
        check(message)
        try:
            if admit is not None:
                await admit(message.principal)
            # Without looking first: nearly every message is new, and the look was a third of the cost of accepting one.
            return await self._insert(message), True
        except (IntegrityError, UnavailableError):
            known = await self.find(message)
            if known is None:
                raise
            return known, False

    async def get(self, principal: Principal, message_id: str) -> StoredMessage:
        """Return this person's message.

        Raises:
            NotFoundError: No message has this id, or it is somebody else's.
        """
        given = {**whose(principal), "of_message": message_id}
        row = (await self._database.fetch(ONE_OF_PERSON, given)).one_or_none()
        if row is None:
            raise NotFoundError("you have no such message")
        return stored(row)

    async def versions(self, message_ids: Iterable[str]) -> dict[str, Version]:
        """Return the state and attempt of each of these messages, of any sender; no contents."""
        query = sa.select(messages.c.id, messages.c.state, messages.c.attempt)
        ids, versions = [*message_ids], {}
        async with self._database.reading() as connection:
            for start in range(0, len(ids), _IDS_AT_ONCE):
                some = messages.c.id.in_(ids[start : start + _IDS_AT_ONCE])
                for row in await connection.execute(query.where(some)):
                    versions[row.id] = (MessageState(row.state), row.attempt)
        return versions

    async def next_up(self, conversation: ConversationKey, besides: Collection[Principal] = ()) -> Upcoming | None:
        """Return the message that `begin_next` would begin now, or None."""
        query = upcoming(self._lease.time, len(besides))
        given = self._lease.given(**naming(conversation), **skipping(besides))
        row = (await self._database.fetch(query, given)).one_or_none()
        return Upcoming(principal_of(row), row.interruptions, bool(row.more)) if row is not None else None

    async def begin_next(
        self, conversation: ConversationKey, besides: Collection[Principal] = ()
    ) -> StoredMessage | None:
        """Begin the oldest undone message of a conversation, under a lease; return None if none can be begun.

        None can while another one is running. A message that waits for another try holds up later ones of its sender.

        Args:
            conversation: The conversation.
            besides: People whose messages are skipped.
        """
        begin = beginning(self._lease.time, len(besides))
        given = self._lease.given(**naming(conversation), **skipping(besides), now=self._now())
        try:
            begun = await self._database.change(begin, given)
        except IntegrityError:  # another process began another message of the conversation at the same moment
            return None
        row = begun.one_or_none()
        return stored(row) if row is not None else None

    async def renew(self, in_work: Collection[StoredMessage]) -> list[StoredMessage]:
        """Renew the leases of these messages; return those that have ended or now belong to another process."""
        ids = [message.message_id for message in in_work]
        async with self._database.writing() as connection:
            rows = await connection.execute(
                messages.update()
                .where(
                    messages.c.id.in_(ids),
                    messages.c.state == MessageState.RUNNING,
                    messages.c.lease_holder == HOLDER,
                )
                .values(taken(self._lease.time))
                .returning(messages.c.id, messages.c.attempt),
                self._lease.given(),
            )
            mine = {(row.id, row.attempt) for row in rows}
        return [message for message in in_work if (message.message_id, message.attempt) not in mine]

    async def put_back(self, message: StoredMessage, *, suspect: bool = True) -> bool:
        """Make an interrupted message undone again in its old place. Return False if it was overtaken.

        Args:
            message: The message that was interrupted.
            suspect: The message itself may have caused the interruption; from then on it is tried with care.
        """
        interruptions = message.interruptions + (1 if suspect else 0)
        async with self._database.writing() as connection:
            return await leave(connection, message, MessageState.NEW, self._now(), interruptions=interruptions)

    async def try_later(self, message: StoredMessage, seconds: float, error: str) -> bool:
        """Let a message wait for another try after a temporary fault; its sender's later ones wait too.

        Return False if it was overtaken.
        """
        changes = {"failures": message.failures + 1, "last_error": error}
        given = self._lease.given(**leaving_with(message, self._now(), changes), wait_seconds=seconds)
        return (await self._database.change(waiting_again(self._lease.time, (*changes,)), given)).rowcount == 1

    async def finish(
        self,
        message: StoredMessage,
        answer: str | LinkReply,
        *,
        private: bool,
        turn: Mapping[str, object] | None = None,
        forget_before: int | None = None,
        files: Sequence[FileReference] = (),
    ) -> bool:
        """Store the answer and delete the message's parked run. Return False if it was overtaken.

        Args:
            message: The message that is answered.
            answer: The reply for its sender.
            private: Only the sender may see the answer.
            turn: The turn to store in the same transaction, as `Conversations.row` makes it.
            forget_before: Erase turns of the conversation with a lower sequence.
            files: The files that go with the answer.
        """
        more: dict[str, Any] = {"files": dump_files(files)} if files else {}
        text, link_id = (answer.text, answer.link_id) if isinstance(answer, LinkReply) else (answer, None)
        more |= {"answer": text, "link_id": link_id, "private": private}
        now = self._now()
        return await self._ending.end(message, MessageState.DONE, now, turn=turn, forget_before=forget_before, **more)

    async def fail(self, message: StoredMessage, apology: str, error: str | None = None) -> bool:
        """Fail the message with an apology and the error's class. Return False if it was overtaken."""
        return await self._ending.end(message, MessageState.FAILED, self._now(), answer=apology, last_error=error)

    async def recover(self) -> None:
        """Make all running messages undone again. Call it only when no other process can be running."""
        await self._put_back(sa.true(), suspect=True)

    async def put_back_lost(self, in_hands: Collection[ConversationKey]) -> None:
        """Make messages undone again whose row says that they are running although no process is working on them.

        Either the lease has expired because the process died or froze, perhaps because of the message; or this
        process holds the row without working on its conversation, because the end of the run could not be stored.

        Args:
            in_hands: The conversations that this process is working on.
        """
        async with self._database.reading() as connection:
            rows = (await connection.execute(lost(self._lease.time), self._lease.given())).all()
        for row in rows:
            message, is_over_now = stored(row), bool(row.is_over)
            if is_over_now or ConversationKey.of(message) not in in_hands:
                this = sa.and_(messages.c.id == row.id, messages.c.attempt == row.attempt)
                mine = row.lease_holder == self._lease.holder
                await self._put_back(this, suspect=not mine, over=is_over_now)

    async def conversations_with_work(self) -> list[ConversationKey]:
        """Return at most 200 conversations with a message that can be begun; people take turns in the list."""
        async with self._database.reading(long=True) as connection:
            to_wake = conversations_to_wake(self._lease.time, at_most=_WOKEN_AT_ONCE)
            rows = (await connection.execute(to_wake, self._lease.given())).all()
        return [ConversationKey(*row) for row in rows]

    async def is_idle(self) -> bool:
        """Return whether no message waits, is in work or is parked, and no reply is owed."""
        async with self._database.reading() as connection:
            return not await connection.scalar(ANYTHING_UNDONE)

    async def count_undone(self) -> Counter[Principal]:
        """Return how many messages of each person wait to be begun."""
        async with self._database.reading(long=True) as connection:
            rows = await connection.execute(undone_of_everybody())
            return Counter({principal_of(row): row.how_many for row in rows})

    async def find(self, message: InboundMessage) -> StoredMessage | None:
        """Return the row of this event, or None if it has not been stored."""
        person = message.principal
        given = {"of_platform": person.platform, "of_tenant": person.tenant, "of_event": message.event_id}
        row = (await self._database.fetch(_OF_EVENT, given)).one_or_none()
        return stored(row) if row is not None else None

    async def _insert(self, message: InboundMessage) -> StoredMessage:
        entered = await enter(self._database, message, self._now())
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
                    fence=is_over(messages, self._lease.time) if over else None,
                    interruptions=messages.c.interruptions + (1 if suspect else 0),
                    changed_at=self._now(),
                    **FREE,
                ),
                self._lease.given(),
            )
