"""Leases for polling: of all processes on one database, one at a time asks a platform for messages."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.database.database import Database
from app.database.tables import poll_leases
from app.delivery.store.lease import MessageLease


class PollLeases:
    """Gives out leases, in this process's name; lives as long as the process.

    Args:
        database: Where they are kept.
        lease: Names this process, and knows the clock that counts.
    """

    def __init__(self, database: Database, lease: MessageLease) -> None:
        self._database = database
        self._lease = lease

    async def hold(self, name: str, seconds: float) -> bool:
        """Take a lease, or renew it, for this long from now on; return False if another process has it."""
        time = self._lease.time_of(self._database)
        mine = sa.or_(poll_leases.c.holder == self._lease.holder, poll_leases.c.expires_at < time)
        values = {"holder": self._lease.holder, "expires_at": time + seconds}
        async with self._database.writing() as connection:
            renewed = await connection.execute(
                poll_leases.update().where(poll_leases.c.name == name, mine).values(**values)
            )
        if renewed.rowcount == 1:
            return True
        try:
            async with self._database.writing() as connection:
                await connection.execute(poll_leases.insert().values(name=name, **values))
        except IntegrityError:
            return False
        return True

    async def give_back(self, name: str) -> None:
        """Give a lease back, if this process has it."""
        mine = sa.and_(poll_leases.c.name == name, poll_leases.c.holder == self._lease.holder)
        async with self._database.writing() as connection:
            await connection.execute(poll_leases.delete().where(mine))
