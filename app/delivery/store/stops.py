"""Stopping a person's messages because the person said so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.approvals import FORGET_ANSWERS, ApprovalState
from app.database.database import Database
from app.database.tables import approvals, begun_writes, messages, owned_by, parked_runs
from app.database.transition import changed, changing
from app.delivery.store.lease import FREE
from app.delivery.store.outbox import Outbox
from app.delivery.store.queries import erasing, stored
from app.messages import MessageState, StoredMessage
from app.principal import Principal

STOPPED = "Stopped, as you asked."
WITHDRAWN = "I no longer wait for your answer to {}, and did not do it."
MAY_BE_DONE = "This may have been done anyway: {}. Check before you ask for it again."
NOTHING_TO_STOP = "There is nothing to stop: I'm not working on anything for you here."

_UNDONE = (MessageState.NEW, MessageState.RUNNING, MessageState.PARKED)


@dataclass(frozen=True, slots=True)
class Stop:
    """A message that was stopped.

    Attributes:
        message: The message as it was before.
        told: A reply about it is queued.
    """

    message: StoredMessage
    told: bool


class Stops:
    """Ends messages for good; lives as long as the process and holds none.

    A run in progress is superseded: its result is neither stored nor sent, and from then on it can begin no write and
    claim no approved call, in whichever process it runs. Anything that it had begun may still take effect, and
    the reply says so.
    """

    def __init__(self, database: Database, outbox: Outbox, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._outbox = outbox
        self._now = now

    async def one(self, principal: Principal, message_id: str) -> list[Stop]:
        """Stop one message of this person and queue a reply; return nothing if it has ended, or is somebody else's."""
        async with self._database.writing() as connection:
            return await self._end(connection, principal, messages.c.id == message_id, tells_all=True)

    async def all_in(self, principal: Principal, conversation: str) -> list[Stop]:
        """Stop all messages of this person in a conversation; each that was begun gets a reply."""
        async with self._database.writing() as connection:
            return await self._end(connection, principal, messages.c.conversation == conversation)

    async def before(self, stop: StoredMessage) -> list[Stop]:
        """Stop what this message's sender wrote before it in its conversation, and answer it unless it has been begun.

        Each message that was begun gets a reply. The message itself gets one only where that says more than theirs.
        """
        earlier = sa.and_(messages.c.conversation == stop.conversation, messages.c.sequence < stop.sequence)
        async with self._database.writing() as connection:
            stopped = await self._end(connection, stop.principal, earlier)
            answer = in_words(stopped)
            done = await changed(
                connection,
                messages,
                sa.and_(owned_by(messages, stop.principal), messages.c.id == stop.message_id),
                MessageState.NEW,
                MessageState.DONE,
                fence=messages.c.attempt == 0,
                answer=answer or STOPPED,
                private=True,
                changed_at=self._now(),
                replied_at=None if answer else self._now(),
            )
            if done and answer:
                await self._outbox.owe(connection, stop, MessageState.DONE, held=False)
        return stopped

    async def _end(
        self,
        connection: AsyncConnection,
        principal: Principal,
        which: sa.ColumnElement[bool],
        *,
        tells_all: bool = False,
    ) -> list[Stop]:
        theirs = sa.and_(owned_by(messages, principal), messages.c.state.in_(_UNDONE), which)
        # Locked in one order, so that two stops at once cannot wait for each other.
        query = sa.select(messages).where(theirs).order_by(messages.c.sequence).with_for_update()
        undone = [stored(row) for row in (await connection.execute(query)).all()]
        return [await self._stop(connection, message, told=tells_all or message.attempt > 0) for message in undone]

    async def _stop(self, connection: AsyncConnection, message: StoredMessage, *, told: bool) -> Stop:
        this = messages.c.id == message.message_id
        await connection.execute(changing(messages, this, _UNDONE, MessageState.FAILED))
        # No write begins and no call is claimed any more, so this is all that was.
        withdrawn = await self._withdraw(connection, message)
        begun = await self._begun(connection, message)
        answer = " ".join(
            [
                STOPPED,
                *([WITHDRAWN.format(", ".join(withdrawn))] if withdrawn else []),
                *([MAY_BE_DONE.format(", ".join(begun))] if begun else []),
            ]
        )
        await connection.execute(
            messages.update()
            .where(this)
            .values(answer=answer, last_error="stopped", changed_at=self._now(), replied_at=None, **FREE)
        )
        for table in (parked_runs, begun_writes):
            await erasing(table).execute(connection, {"of_message": message.message_id})
        await FORGET_ANSWERS.execute(connection, {"of_message": message.message_id})
        if told:
            await self._outbox.owe(connection, message, MessageState.FAILED, held=False)
        return Stop(message, told)

    async def _withdraw(self, connection: AsyncConnection, message: StoredMessage) -> list[str]:
        """Let the message's calls that have not begun expire, approved ones included; return their tools."""
        expired = await connection.execute(
            changing(
                approvals,
                approvals.c.message_id == message.message_id,
                (ApprovalState.PENDING, ApprovalState.APPROVED),
                ApprovalState.EXPIRED,
            ).returning(approvals.c.tool)
        )
        return list(dict.fromkeys(expired.scalars()))

    async def _begun(self, connection: AsyncConnection, message: StoredMessage) -> list[str]:
        """Return the tools that may have changed something for this message."""
        claimed = sa.select(approvals.c.tool).where(
            approvals.c.message_id == message.message_id,
            approvals.c.state.in_((ApprovalState.RUNNING, ApprovalState.DONE)),
        )
        written = sa.select(begun_writes.c.tool).where(begun_writes.c.message_id == message.message_id)
        tools = [*(await connection.execute(claimed)).scalars(), *(await connection.execute(written)).scalars()]
        return list(dict.fromkeys(tools))


def in_words(stopped: Sequence[Stop]) -> str | None:
    """Return what to answer to ``stop``; None if the replies about what was stopped say everything."""
    if not stopped:
        return NOTHING_TO_STOP
    dropped = sum(not stop.told for stop in stopped)
    if not dropped:
        return None
    return f"{STOPPED} I dropped {'the message' if dropped == 1 else f'{dropped} messages'} that I had not begun."
