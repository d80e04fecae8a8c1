"""The processes that work on this database: one with the embedded engine, or any number with a distributed one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import replicas
from app.delivery.store.lease import MessageLease, process_is_gone, this_machine
from app.errors import SettingsError
from app.supervisor import Rounds, Supervisor, guarded

log = logging.getLogger(__name__)

EMBEDDED = "embedded"
THREE_LINES = """    database:
      url: postgresql+asyncpg://…
    delivery:
      engine: procrastinate"""


@dataclass(frozen=True, slots=True)
class Replica:
    """A process that works on the database: ``host:pid:…``, its address, and the seconds left of its lease."""

    holder: str
    machine: str
    engine: str
    address: str
    seconds_left: float

    def __str__(self) -> str:
        return f"{self.holder} ({self.engine}, listening on {self.address})"


class Replicas:
    """Registers this process as one that works on the database; lives as long as the process.

    Its row is a lease. A process that was killed is forgotten when its lease expires, or at once if another can see
    that it is gone. A process that hangs cannot keep a transaction open for longer than that either.

    Attributes:
        lost: Set once another process has taken this one's place because this one hung for too long: it must end.
    """

    def __init__(self, database: Database, lease: MessageLease, *, engine: str, address: str) -> None:
        self._rounds = Rounds()
        self._database = database
        self._lease = lease
        self._engine = engine
        self._address = address
        self.lost = asyncio.Event()

    @property
    def alone(self) -> bool:
        """Return whether no other process may work on the database while this one does."""
        return self._engine == EMBEDDED

    @asynccontextmanager
    async def joined(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Register until the context ends, first waiting for the lease of a process that has ended to expire.

        Raises:
            SettingsError: Another process is running with which this one cannot share the database.
        """
        await self._join()
        try:
            async with supervisor.keeping(replica=self._renew, stuck=self._end_stuck):
                yield
        finally:
            await guarded("leaving the replicas", self._leave())

    async def others(self) -> list[Replica]:
        """Return the other processes with which this one cannot share the database.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database was never migrated, or does not answer.
        """
        async with self._database.reading() as connection:
            return await self._in_the_way(connection)

    def refusal(self, other: Replica) -> SettingsError:
        """Return the error that says why this process may not work beside that one, and what to do."""
        return SettingsError(
            f"delivery.engine: {other} works on this database, and `engine: {EMBEDDED}` is for a single process. "
            f"Stop it, or let all processes share the work:\n{THREE_LINES}"
        )

    async def _join(self) -> None:
        seen: dict[str, float] = {}
        while True:
            async with self._database.writing(turn=("replicas",)) as connection:
                others = await self._in_the_way(connection)
                if not others:
                    await self._store(connection)
                    return
            for other in others:
                # A lease that grew since the last look belongs to a living process.
                if other.seconds_left > seen.get(other.holder, other.seconds_left):
                    raise self.refusal(other)
                seen[other.holder] = other.seconds_left
            if len(seen) == len(others):
                log.info("waiting for %s, which may have ended", others[0])
            await asyncio.sleep(min(0.5, self._lease.seconds / 10))

    async def _in_the_way(self, connection: AsyncConnection) -> list[Replica]:
        now = self._lease.time
        query = sa.select(replicas, (replicas.c.until - now).label("seconds_left")).where(
            replicas.c.until > now, replicas.c.holder != self._lease.holder
        )
        others = [_replica(row) for row in await connection.execute(query, self._lease.given())]
        return [
            other
            for other in others
            if EMBEDDED in (self._engine, other.engine) and not process_is_gone(other.holder, other.machine)
        ]

    async def _store(self, connection: AsyncConnection) -> None:
        now = self._lease.time
        gone = sa.or_(replicas.c.until <= now, replicas.c.holder == self._lease.holder)
        if self.alone:
            gone = sa.true()
        await connection.execute(replicas.delete().where(gone), self._lease.given())
        await connection.execute(
            replicas.insert().values(
                holder=self._lease.holder,
                machine=this_machine(),
                engine=self._engine,
                address=self._address,
                until=now + self._lease.seconds,
            ),
            self._lease.given(),
        )

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease.seconds / 3)
            await self._rounds.run("renewing this replica's lease", self._renew_once())

    async def _end_stuck(self) -> None:
        """End hanging transactions, in a task of its own because any other task may be waiting for one."""
        while True:
            await asyncio.sleep(self._lease.seconds / 2)
            await self._rounds.run("ending stuck transactions", self._end_stuck_once())

    async def _end_stuck_once(self) -> None:
        if ended := await self._database.end_stuck(self._lease.seconds):
            log.warning("%s transactions were ended because their process hung", ended)

    async def _renew_once(self) -> None:
        async with self._database.writing(turn=("replicas",)) as connection:
            renewed = await connection.execute(
                replicas.update()
                .where(replicas.c.holder == self._lease.holder)
                .values(until=self._lease.time + self._lease.seconds),
                self._lease.given(),
            )
            if renewed.rowcount == 0:
                if await self._in_the_way(connection):
                    self.lost.set()
                else:
                    await self._store(connection)

    async def _leave(self) -> None:
        async with self._database.writing() as connection:
            await connection.execute(replicas.delete().where(replicas.c.holder == self._lease.holder))


def _replica(row: sa.Row[Any]) -> Replica:
    return Replica(row.holder, row.machine, row.engine, row.address, row.seconds_left)
