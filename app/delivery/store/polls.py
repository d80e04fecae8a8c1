"""Leases for polling: of all processes on one database, one at a time asks a platform for messages."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.database.database import Database
from app.database.prepared import Prepared
from app.database.tables import poll_leases
from app.delivery.store.lease import HOLDER, MessageLease


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
        renew, take = _holding(self._lease.time)
        given = self._lease.given(of_poll=name, poll_seconds=seconds)
        if (await self._database.change(renew, given)).rowcount == 1:
            return True
        try:
            await self._database.change(take, given)
        except IntegrityError:
            return False
        return True

    async def give_back(self, name: str) -> None:
        """Give a lease back, if this process has it."""
        mine = sa.and_(poll_leases.c.name == name, poll_leases.c.holder == self._lease.holder)
        async with self._database.writing() as connection:
            await connection.execute(poll_leases.delete().where(mine))


@cache
def _holding(time: sa.ColumnElement[float]) -> tuple[Prepared, Prepared]:
    """Return the statements that renew a lease, or take one that is over, and that take one for the first time."""
    name = sa.bindparam("of_poll", type_=sa.String)
    values = {"holder": HOLDER, "expires_at": time + sa.bindparam("poll_seconds", type_=sa.Double)}
    mine = sa.or_(poll_leases.c.holder == HOLDER, poll_leases.c.expires_at < time)
    renew = poll_leases.update().where(poll_leases.c.name == name, mine).values(values)
    return Prepared(renew), Prepared(poll_leases.insert().values(name=name, **values))
