"""Cancelling a person's messages without the person's doing."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.approvals import ApprovalState, forgetting_answers
from app.database.database import Database
from app.database.tables import approvals, consent_links, messages, owned_by, parked_runs, principal_of, users
from app.delivery.store.lease import FREE
from app.delivery.store.outbox import Outbox
from app.delivery.store.parked_run import WaitsFor
from app.delivery.store.queries import stored
from app.messages import MessageState
from app.principal import Principal
from app.users import stays_offboarded

_UNDONE = (MessageState.NEW, MessageState.RUNNING, MessageState.PARKED)


class Cancellation:
    """Cancels messages; lives as long as the process and holds none."""

    def __init__(self, database: Database, outbox: Outbox, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._outbox = outbox
        self._now = now

    async def stop_waiting_for_consent(
        self, connection: AsyncConnection, principal: Principal, apology: str, *, provider: str | None = None
    ) -> int:
        """Fail the messages that wait for this person's consent, in the caller's transaction, and return their number.

        The apology is queued for the person. With a provider, only what waits for a consent there is failed.
        """
        there = sa.select(consent_links.c.id).where(
            owned_by(consent_links, principal), consent_links.c.provider == provider
        )
        waiting = sa.select(parked_runs.c.message_id).where(
            owned_by(parked_runs, principal),
            parked_runs.c.waits_for == WaitsFor.CONSENT,
            parked_runs.c.decision.is_(None),
            sa.true() if provider is None else parked_runs.c.link_id.in_(there),
        )
        ids = (await connection.execute(waiting)).scalars().all()
        failed = await connection.execute(
            messages.update()
            .where(owned_by(messages, principal), messages.c.id.in_(ids), messages.c.state == MessageState.PARKED)
            .values(state=MessageState.FAILED, answer=apology, changed_at=self._now(), replied_at=None)
            .returning(*messages.c)
        )
        rows = failed.all()
        for row in rows:
            await self._outbox.owe(connection, stored(row), MessageState.FAILED, held=False)
        await connection.execute(parked_runs.delete().where(parked_runs.c.message_id.in_(ids)))
        await connection.execute(forgetting_answers(approvals.c.message_id.in_(ids)))
        return len(rows)

    async def end_all(self, principal: Principal) -> int:
        """Fail every undone message of an offboarded person, running ones included, and return how many.

        The person gets no reply. Nothing is changed for somebody who is not offboarded, or has been restored.
        Runs in progress are superseded: their results are neither stored nor sent. Approved calls that have not begun
        are not made.
        """
        now = self._now()
        mine = owned_by(messages, principal)
        async with self._database.writing() as connection:
            if not await stays_offboarded(connection, principal):
                return 0
            failed = await connection.execute(
                messages.update()
                .where(mine, messages.c.state.in_(_UNDONE))
                .values(state=MessageState.FAILED, answer=None, changed_at=now, **FREE)
            )
            await self._outbox.forget(connection, principal)
            await connection.execute(
                approvals.update()
                .where(
                    owned_by(approvals, principal),
                    approvals.c.state.in_((ApprovalState.PENDING, ApprovalState.APPROVED)),
                )
                .values(state=ApprovalState.EXPIRED)
            )
            await connection.execute(parked_runs.delete().where(owned_by(parked_runs, principal)))
            await connection.execute(forgetting_answers(owned_by(approvals, principal)))
        return failed.rowcount

    async def undone_of_offboarded(self) -> list[Principal]:
        """Return the offboarded people with undone messages; one may have arrived during the offboarding."""
        query = (
            sa.select(users)
            .join(messages, sa.and_(*(messages.c[part.name] == part for part in users.primary_key.columns)))
            .where(messages.c.state.in_(_UNDONE), users.c.offboarded_at.is_not(None))
            .distinct()
        )
        async with self._database.reading() as connection:
            return [principal_of(row) for row in await connection.execute(query)]
