"""Accepted messages: rows that are written before the acknowledgement and say what is still to be done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database, take_turns
from app.database.tables import (
    CONVERSATION_LENGTH,
    EVENT_ID_LENGTH,
    messages,
    owned_by,
    owner,
    parked_runs,
    principal_of,
)
from app.errors import InvalidMessageError, NotFoundError
from app.messages import MAX_TEXT_LENGTH, ConversationKey, InboundMessage, MessageState, StoredMessage
from app.principal import Principal

Alongside = Callable[[AsyncConnection], Awaitable[None]]


class Inbox:
    """Stores messages and moves them through their states; lives as long as the process and holds no message.

    Every change of a running row names the attempt it was made for, so that whoever was overtaken changes nothing.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def accept(self, message: InboundMessage) -> tuple[StoredMessage, bool]:
        """Store a message once. Returns the row, and False when its event id was already there.

        Raises:
            InvalidMessageError: There is no text, or a part is too long or cannot be stored.
        """
        _check(message)
        known = await self._find_event(message)
        if known is not None:
            return known, False
        try:
            return await self._insert(message), True
        except IntegrityError:  # the same event was stored a moment before; sequences are given out in turn
            known = await self._find_event(message)
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
        return _stored(row)

    async def begin_next(self, conversation: ConversationKey) -> StoredMessage | None:
        """Take the oldest undone message of a conversation into work, or return None."""
        oldest = (
            sa.select(messages.c.id)
            .where(*_in(conversation), messages.c.state == MessageState.NEW)
            .order_by(messages.c.sequence)
            .limit(1)
            .scalar_subquery()
        )
        async with self._database.writing() as connection:
            row = (
                await connection.execute(
                    messages.update()
                    .where(messages.c.id == oldest, messages.c.state == MessageState.NEW)
                    .values(state=MessageState.RUNNING, attempt=messages.c.attempt + 1, changed_at=self._now())
                    .returning(*messages.c)
                )
            ).one_or_none()
        return _stored(row) if row is not None else None

    async def put_back(self, message: StoredMessage) -> bool:
        """Make a message that was interrupted undone again; it keeps its place. False when it was overtaken."""
        return await self._leave(message, MessageState.NEW, interruptions=messages.c.interruptions + 1)

    async def finish(
        self, message: StoredMessage, answer: str, *, private: bool, alongside: Alongside | None = None
    ) -> bool:
        """Store the answer; what was parked for the message is gone. False when it was overtaken.

        Args:
            message: What is answered.
            answer: What its sender is told.
            private: They alone are told.
            alongside: What else is stored with the answer, in the same transaction, and not when it was overtaken.
        """
        return await self._leave(message, MessageState.DONE, alongside, answer=answer, private=private)

    async def fail(self, message: StoredMessage, apology: str) -> bool:
        """Give the message up, with what the person is told. False when it was overtaken."""
        return await self._leave(message, MessageState.FAILED, answer=apology)

    async def mark_replied(self, message: StoredMessage) -> None:
        """Say that the channel took what there was to tell; it counts only while the row is as it was read."""
        async with self._database.writing() as connection:
            await connection.execute(
                messages.update()
                .where(
                    messages.c.id == message.message_id,
                    messages.c.attempt == message.attempt,
                    messages.c.state == message.state,
                )
                .values(replied_at=self._now())
            )

    async def recover(self) -> None:
        """Make undone again what a process left running when it ended. Call it before any worker runs."""
        async with self._database.writing() as connection:
            await connection.execute(
                messages.update()
                .where(messages.c.state == MessageState.RUNNING)
                .values(state=MessageState.NEW, interruptions=messages.c.interruptions + 1, changed_at=self._now())
            )

    async def running(self) -> list[StoredMessage]:
        """Every message that is in work by its row."""
        query = sa.select(messages).where(messages.c.state == MessageState.RUNNING)
        async with self._database.reading() as connection:
            return [_stored(row) for row in await connection.execute(query)]

    async def conversations_with_work(self) -> list[ConversationKey]:
        """Every conversation with an undone message."""
        columns = (messages.c.platform, messages.c.tenant, messages.c.conversation)
        async with self._database.reading() as connection:
            rows = await connection.execute(sa.select(*columns).where(messages.c.state == MessageState.NEW).distinct())
        return [ConversationKey(*row) for row in rows]

    async def unreplied(self, *, older_than_seconds: float, newer_than_seconds: float) -> list[StoredMessage]:
        """Messages whose state should have been told by now and was not, the one that waits longest first."""
        told = (MessageState.DONE, MessageState.FAILED, MessageState.PARKED)
        query = sa.select(messages).where(
            messages.c.state.in_(told),
            messages.c.replied_at.is_(None),
            messages.c.changed_at.between(self._now() - newer_than_seconds, self._now() - older_than_seconds),
        )
        async with self._database.reading() as connection:
            return [_stored(row) for row in await connection.execute(query.order_by(messages.c.changed_at))]

    async def _find_event(self, message: InboundMessage) -> StoredMessage | None:
        row = await self._one(
            sa.select(messages).where(
                messages.c.platform == message.principal.platform,
                messages.c.tenant == message.principal.tenant,
                messages.c.event_id == message.event_id,
            )
        )
        return _stored(row) if row is not None else None

    async def _insert(self, message: InboundMessage) -> StoredMessage:
        last = (
            sa.select(sa.func.coalesce(sa.func.max(messages.c.sequence), 0))
            .where(*_in(ConversationKey.of(message)))
            .scalar_subquery()
        )
        now = self._now()
        async with self._database.writing() as connection:
            principal = message.principal
            await take_turns(connection, "messages", principal.platform, principal.tenant, message.conversation)
            row = (
                await connection.execute(
                    messages.insert()
                    .values(
                        id=uuid.uuid4().hex,
                        **owner(message.principal),
                        event_id=message.event_id,
                        conversation=message.conversation,
                        sequence=last + 1,
                        body=message.text,
                        address=dict(message.address),
                        state=MessageState.NEW,
                        attempt=0,
                        interruptions=0,
                        private=False,
                        created_at=now,
                        changed_at=now,
                    )
                    .returning(*messages.c)
                )
            ).one()
        return _stored(row)

    async def _leave(
        self, message: StoredMessage, state: MessageState, alongside: Alongside | None = None, **values: object
    ) -> bool:
        async with self._database.writing() as connection:
            left = await connection.execute(leaving(message, state, self._now(), **values))
            if left.rowcount != 1:
                return False
            if state in (MessageState.DONE, MessageState.FAILED):
                await connection.execute(parked_runs.delete().where(parked_runs.c.message_id == message.message_id))
            if alongside is not None:
                await alongside(connection)
        return True

    async def _one(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        async with self._database.reading() as connection:
            row: sa.Row[Any] | None = (await connection.execute(query)).one_or_none()
        return row


def _check(message: InboundMessage) -> None:
    if not message.text.strip():
        raise InvalidMessageError("the message has no text")
    limits = {"text": MAX_TEXT_LENGTH, "event_id": EVENT_ID_LENGTH, "conversation": CONVERSATION_LENGTH}
    for name, limit in limits.items():
        value: str = getattr(message, name)
        if len(value) > limit:
            raise InvalidMessageError(f"the {name} of a message has at most {limit} characters")
        # PostgreSQL stores no NUL, and no database half of a surrogate pair, which JSON can spell.
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidMessageError(f"the {name} of a message holds characters that are no text")


def leaving(message: StoredMessage, state: MessageState, now: float, **values: object) -> sa.Update:
    """The change by which a running message leaves its attempt; it matches no row when it was overtaken."""
    return (
        messages.update()
        .where(
            messages.c.id == message.message_id,
            messages.c.state == MessageState.RUNNING,
            messages.c.attempt == message.attempt,
        )
        .values(state=state, changed_at=now, replied_at=None, **values)
    )


def _in(conversation: ConversationKey) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        messages.c.platform == conversation.platform,
        messages.c.tenant == conversation.tenant,
        messages.c.conversation == conversation.conversation,
    )


def _stored(row: sa.Row[Any]) -> StoredMessage:
    return StoredMessage(
        message_id=row.id,
        principal=principal_of(row),
        conversation=row.conversation,
        sequence=row.sequence,
        text=row.body,
        address=row.address,
        state=MessageState(row.state),
        attempt=row.attempt,
        interruptions=row.interruptions,
        answer=row.answer,
        private=row.private,
    )
