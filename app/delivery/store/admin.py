"""Accepted messages as an administrator may see them: without text, answers or arguments."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.prefix import whole_id
from app.database.tables import approvals, messages, outbox, principal_of
from app.delivery.store.owing import ReplyState
from app.delivery.store.queries import has_contents
from app.errors import NotFoundError
from app.messages import MessageState
from app.principal import Principal


@dataclass(frozen=True, slots=True)
class Delivery:
    """One accepted message, without its text and its answer.

    Attributes:
        conversation: The channel's name for the conversation.
        payload: The channel's id of the raw message, if it keeps one.
        holder: The process that is working on it.
        untold: The reply about its present state was given up because the channel did not accept it.
        owed: A reply about it is waiting to be sent.
    """

    message_id: str
    principal: Principal
    conversation: str
    sequence: int
    state: MessageState
    attempt: int
    interruptions: int
    failures: int
    last_error: str | None
    next_try_at: float | None
    holder: str | None
    payload: str | None
    created_at: float
    changed_at: float
    replied_at: float | None
    untold: bool
    owed: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A reply or an approval of a message: its kind, name and state, the number of tries, the last error's class."""

    kind: str
    name: str
    state: str
    tries: int
    last_error: str | None


# The reply about the message's present state was given up.
_UNTOLD = sa.exists().where(
    outbox.c.message_id == messages.c.id,
    outbox.c.message_state == messages.c.state,
    outbox.c.message_attempt == messages.c.attempt,
    outbox.c.state == ReplyState.GIVEN_UP,
)

# A reply is waiting to be sent.
_OWED = sa.exists().where(outbox.c.message_id == messages.c.id, outbox.c.state == ReplyState.WAITING)


class Deliveries:
    """Lists, shows and retries everybody's messages; only for the administrator's command line."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def latest(self, states: Sequence[MessageState], *, at_most: int, untold: bool = False) -> list[Delivery]:
        """Return the messages in these states that changed last, the latest first.

        Args:
            states: The states to look for.
            at_most: The maximum number of messages.
            untold: Include messages in other states whose reply was given up or is waiting to be sent.
        """
        query = (
            sa.select(messages, _UNTOLD.label("untold"), _OWED.label("owed"))
            .where(sa.or_(messages.c.state.in_(states), sa.and_(sa.or_(_UNTOLD, _OWED), sa.literal(untold))))
            .order_by(messages.c.changed_at.desc(), messages.c.id)
            .limit(at_most)
        )
        async with self._database.reading() as connection:
            return [_delivery(row) for row in await connection.execute(query)]

    async def show(self, message_id: str) -> tuple[Delivery, list[Step]]:
        """Return one message, with its replies and approvals.

        Args:
            message_id: The id, or its first digits, which an apology gives as its reference.

        Raises:
            NotFoundError: No message has this id, or more than one begins with these digits.
        """
        message_id = await whole_id(self._database, messages.c.id, message_id, "message")
        replies = sa.select(outbox).where(outbox.c.message_id == message_id).order_by(outbox.c.created_at)
        asked = sa.select(approvals).where(approvals.c.message_id == message_id).order_by(approvals.c.created_at)
        async with self._database.reading() as connection:
            row = (
                await connection.execute(
                    sa.select(messages, _UNTOLD.label("untold"), _OWED.label("owed")).where(messages.c.id == message_id)
                )
            ).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no message {message_id}")
            steps = [
                Step("reply", each.message_state, each.state, each.tries, each.last_error)
                for each in await connection.execute(replies)
            ]
            steps += [Step("approval", each.tool, each.state, 1, None) for each in await connection.execute(asked)]
        return _delivery(row), steps

    async def retry(self, message_id: str) -> Delivery:
        """Queue a failed message again in its old place; a server begins it at its next look.

        It runs from the beginning, so calls that need approval are asked about again. If the message did not fail but
        its reply was given up, that reply is queued again, and a server sends it at its next look.

        Raises:
            NotFoundError: No message with this id failed, or had its reply given up, and still has its text.
        """
        message_id = await whole_id(self._database, messages.c.id, message_id, "message")
        async with self._database.writing() as connection:
            row = (
                await connection.execute(
                    messages.update()
                    .where(messages.c.id == message_id, messages.c.state == MessageState.FAILED, has_contents())
                    .values(
                        state=MessageState.NEW,
                        answer=None,
                        interruptions=0,
                        failures=0,
                        next_try_at=None,
                        changed_at=self._now(),
                        replied_at=None,
                    )
                    .returning(*messages.c, sa.false().label("untold"), sa.false().label("owed"))
                )
            ).one_or_none()
            if row is None:
                said = (sa.false().label("untold"), sa.true().label("owed"))
                untold = sa.select(messages, *said).where(messages.c.id == message_id, _UNTOLD)
                row = (await connection.execute(untold)).one_or_none()
                if row is not None:
                    await self._owe_anew(connection, row)
        if row is None:
            raise NotFoundError(f"message {message_id} has neither failed nor a reply that was given up")
        return _delivery(row)

    async def _owe_anew(self, connection: AsyncConnection, row: sa.Row[Any]) -> None:
        """Queue the reply that was given up again, as if it were new; its tries continue to count."""
        await connection.execute(
            outbox.update()
            .where(
                outbox.c.message_id == row.id,
                outbox.c.message_attempt == row.attempt,
                outbox.c.state == ReplyState.GIVEN_UP,
            )
            .values(state=ReplyState.WAITING, created_at=self._now(), next_try_at=None, last_error=None)
        )


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        message_id=row.id,
        principal=principal_of(row),
        conversation=row.conversation,
        sequence=row.sequence,
        state=MessageState(row.state),
        attempt=row.attempt,
        interruptions=row.interruptions,
        failures=row.failures,
        last_error=row.last_error,
        next_try_at=row.next_try_at,
        holder=row.lease_holder,
        payload=row.payload,
        created_at=row.created_at,
        changed_at=row.changed_at,
        replied_at=row.replied_at,
        untold=bool(row.untold),
        owed=bool(row.owed),
    )
