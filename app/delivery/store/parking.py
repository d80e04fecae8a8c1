"""Parked runs: messages that wait for an answer of their sender and then continue automatically."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.approvals import Approvals, ApprovalState, PendingCall
from app.consent.link import LinkState
from app.consent.lock import take_consent_turn
from app.database.database import Database
from app.database.prepared import inserting
from app.database.tables import (
    approvals,
    begun_writes,
    consent_links,
    messages,
    owned_by,
    owner,
    parked_runs,
    principal_of,
    whose,
)
from app.database.transition import changing
from app.delivery.store.outbox import Outbox
from app.delivery.store.parked_run import COUNT_OTHERS, OF_MESSAGE, ParkedRun, WaitsFor, apology
from app.delivery.store.queries import erasing, leave, stored
from app.messages import ConversationKey, MessageState, StoredMessage
from app.oauth.provider import GOOGLE
from app.principal import Principal

Covered = Callable[[AsyncConnection], Awaitable[bool]]


class Parking:
    """Parks runs and puts them back to work; lives as long as the process and holds no run.

    Args:
        wake: Called with each conversation in which a message became undone again.
        parked_seconds: How long a run waits before it is given up.
    """

    def __init__(
        self,
        database: Database,
        approvals: Approvals,
        outbox: Outbox,
        wake: Callable[[ConversationKey], Awaitable[None]],
        *,
        parked_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._approvals = approvals
        self._outbox = outbox
        self._wake = wake
        self._parked_seconds = parked_seconds
        self._now = now

    async def park_for_consent(
        self, message: StoredMessage, run: str, link_id: str, covered: Covered | None = None
    ) -> bool:
        """Park a running message until its sender's consent is decided. Return False if it was overtaken.

        Args:
            message: The message that waits.
            run: The run so far.
            link_id: The consent link.
            covered: Asked in the transaction that parks: whether consent was given in the meantime. If so, nothing
                else would wake the message, so it is undone again at once.
        """
        return await self._park(message, run, WaitsFor.CONSENT, link_id=link_id, covered=covered)

    async def park_for_approval(self, message: StoredMessage, run: str, calls: Sequence[PendingCall]) -> bool:
        """Park a running message until its sender has decided on all of these calls."""
        return await self._park(message, run, WaitsFor.APPROVAL, calls=calls)

    async def count(self, principal: Principal, *, besides: str) -> int:
        """Return how many messages of this person are parked, not counting the one with this id."""
        counted = (await self._database.fetch(COUNT_OTHERS, {**whose(principal), "of_message": besides})).one_or_none()
        return int(counted.how_many) if counted is not None else 0

    async def find(self, message: StoredMessage) -> ParkedRun | None:
        """Return the parked run of this message, or None if it runs for the first time."""
        given = {**whose(message.principal), "of_message": message.message_id}
        row = (await self._database.fetch(OF_MESSAGE, given)).one_or_none()
        if row is None:
            return None
        granted = None if row.decision is None else row.decision == _decision(granted=True)
        return ParkedRun(WaitsFor(row.waits_for), row.link_id, row.run, granted)

    async def consent_ended(
        self,
        principal: Principal,
        *,
        granted: bool,
        accounts: Collection[str | None] = (None,),
        provider: str = GOOGLE,
    ) -> None:
        """Resume the messages that wait for this person's consent; the arguments are those of `consent_ends`."""
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            wake = await self.consent_ends(connection, principal, granted=granted, accounts=accounts, provider=provider)
        await wake()

    async def consent_ends(
        self,
        connection: AsyncConnection,
        principal: Principal,
        *,
        granted: bool,
        accounts: Collection[str | None] = (None,),
        provider: str = GOOGLE,
    ) -> Callable[[], Awaitable[None]]:
        """Resume the messages that wait for this person's consent, in the transaction that decides it.

        Args:
            connection: The caller's transaction, which holds the person's consent lock.
            principal: The person.
            granted: Whether the consent was given.
            accounts: Resume only what waits for a link that widens one of these accounts; None: for any account.
            provider: Resume only what waits for an account at this one.

        Returns:
            A function that wakes the conversations; await it once the transaction is committed.
        """
        for_these = sa.or_(*(consent_links.c.widens.is_not_distinct_from(account) for account in accounts))
        links = sa.select(consent_links.c.id).where(
            owned_by(consent_links, principal), consent_links.c.provider == provider, for_these
        )
        waiting = sa.and_(
            owned_by(parked_runs, principal),
            parked_runs.c.waits_for == WaitsFor.CONSENT,
            parked_runs.c.link_id.in_(links),
        )
        ids = (await connection.execute(sa.select(parked_runs.c.message_id).where(waiting))).scalars().all()
        # The messages first, like every transaction that changes both: otherwise two could wait for each other.
        woken = await self._back_to_work(connection, sa.and_(owned_by(messages, principal), messages.c.id.in_(ids)))
        await connection.execute(
            parked_runs.update()
            .where(parked_runs.c.message_id.in_(ids), parked_runs.c.decision.is_(None))
            .values(decision=_decision(granted))
        )
        return partial(self._wake_all, woken)

    async def sign_in_changed(self, principal: Principal, link_id: str) -> None:
        """Queue a new reply about the sign-in that this person's messages wait for."""
        waiting = sa.select(parked_runs.c.message_id).where(
            owned_by(parked_runs, principal), parked_runs.c.link_id == link_id
        )
        async with self._database.writing() as connection:
            rows = await connection.execute(
                messages.update()
                .where(messages.c.id.in_(waiting), messages.c.state == MessageState.PARKED)
                .values(replied_at=None)
                .returning(*messages.c)
            )
            for row in rows.all():
                await self._outbox.owe(connection, stored(row), MessageState.PARKED, held=False)

    async def approval_decided(self, principal: Principal, message_id: str) -> None:
        """Resume the message if its sender has decided on all of its calls."""
        pending = await self._approvals.of_message(principal, message_id)
        if any(approval.state is ApprovalState.PENDING for approval in pending):
            return
        async with self._database.writing() as connection:
            woken = await self._back_to_work(
                connection, sa.and_(owned_by(messages, principal), messages.c.id == message_id)
            )
        await self._wake_all(woken)

    async def wake_answered(self) -> None:
        """Resume messages that were answered: the process that took the answer may have ended before it did so.

        A consent may also have been decided before the run was parked for it.
        """
        still_parked = sa.and_(messages.c.id == parked_runs.c.message_id, messages.c.state == MessageState.PARKED)
        consented = (
            sa.select(
                parked_runs,
                consent_links.c.state.label("link_state"),
                consent_links.c.widens.label("link_widens"),
                consent_links.c.provider.label("link_provider"),
            )
            .join(consent_links, consent_links.c.id == parked_runs.c.link_id)
            .join(messages, still_parked)
            .where(consent_links.c.state.in_((LinkState.ACTIVE, LinkState.REFUSED)))
        )
        undecided = sa.exists().where(
            approvals.c.message_id == parked_runs.c.message_id, approvals.c.state == ApprovalState.PENDING
        )
        decided = (
            sa.select(parked_runs)
            .join(messages, still_parked)
            .where(parked_runs.c.waits_for == WaitsFor.APPROVAL, ~undecided)
        )
        async with self._database.reading() as connection:
            consents = (await connection.execute(consented)).all()
            decisions = (await connection.execute(decided)).all()
        for row in consents:
            granted = row.link_state == LinkState.ACTIVE
            await self.consent_ended(
                principal_of(row), granted=granted, accounts=(row.link_widens,), provider=row.link_provider
            )
        for row in decisions:
            await self.approval_decided(principal_of(row), row.message_id)

    async def give_up_expired(self) -> None:
        """Fail every message that has waited too long, and queue the apology."""
        query = sa.select(parked_runs.c.message_id).where(parked_runs.c.expires_at < self._now())
        async with self._database.reading() as connection:
            expired = (await connection.execute(query)).scalars().all()
        for message_id in expired:  # one transaction each, so two processes that do this cannot deadlock
            await self._give_up(message_id)

    async def _give_up(self, message_id: str) -> None:
        async with self._database.writing() as connection:
            which = (
                sa.select(parked_runs, messages.c.body)
                .join(messages, messages.c.id == parked_runs.c.message_id)
                .where(parked_runs.c.message_id == message_id)
            )
            parked = (await connection.execute(which)).one_or_none()
            if parked is None:
                return
            given_up = await connection.execute(
                changing(
                    messages,
                    messages.c.id == message_id,
                    MessageState.PARKED,
                    MessageState.FAILED,
                    answer=apology(WaitsFor(parked.waits_for), parked.run, parked.body, self._parked_seconds),
                    changed_at=self._now(),
                    replied_at=None,
                ).returning(*messages.c)
            )
            if (row := given_up.one_or_none()) is not None:
                await self._outbox.owe(connection, stored(row), MessageState.FAILED, held=False)
                await self._approvals.expire(connection, message_id)
                await connection.execute(parked_runs.delete().where(parked_runs.c.message_id == message_id))

    async def _park(
        self,
        message: StoredMessage,
        run: str,
        waits_for: WaitsFor,
        *,
        link_id: str | None = None,
        calls: Sequence[PendingCall] = (),
        covered: Covered | None = None,
    ) -> bool:
        now = self._now()
        expires_at = now + self._parked_seconds
        async with self._database.writing() as connection:
            if waits_for is WaitsFor.CONSENT:
                await take_consent_turn(connection, message.principal)
            goes_on = covered is not None and await covered(connection)
            state = MessageState.NEW if goes_on else MessageState.PARKED
            if not await leave(connection, message, state, now, failures=0, interruptions=0):
                return False
            if not goes_on:
                await self._outbox.owe(connection, message, state)
            for table in (parked_runs, begun_writes):  # from an earlier wait, and from the run that is parked now
                await erasing(table).execute(connection, {"of_message": message.message_id})
            row = {
                "message_id": message.message_id,
                **owner(message.principal),
                "waits_for": waits_for,
                "link_id": link_id,
                "run": run,
                "decision": _decision(granted=True) if goes_on else None,
                "expires_at": expires_at,
            }
            await inserting(parked_runs, *row).execute(connection, row)
            await self._approvals.ask(connection, message.principal, message.message_id, calls, expires_at=expires_at)
        return True

    async def _back_to_work(self, connection: Any, which: sa.ColumnElement[bool]) -> list[ConversationKey]:
        woken = changing(messages, which, MessageState.PARKED, MessageState.NEW, changed_at=self._now())
        rows = await connection.execute(
            woken.returning(messages.c.platform, messages.c.tenant, messages.c.conversation)
        )
        return [ConversationKey(*row) for row in rows]

    async def _wake_all(self, conversations: Sequence[ConversationKey]) -> None:
        for conversation in dict.fromkeys(conversations):
            await self._wake(conversation)


def _decision(granted: bool) -> str:
    """Return how a row stores the decision on a consent."""
    return "granted" if granted else "refused"
