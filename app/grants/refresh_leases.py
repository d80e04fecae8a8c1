"""RefreshLeases: of all processes on one database, one at a time refreshes a grant.

A lease is a row, taken and given back in transactions of its own, so no connection is held while Google is asked. It
is good for 15 seconds and a call to Google for 10, so a live holder has finished before its lease expires, and the
lease of one that died can be taken over after that. (A holder that stood still for more than 3 seconds before it asks
gives the lease back instead, and takes another.) Only the database's clock counts: the clocks of replicas may
differ by minutes and nobody takes a lease early. (What they do disagree about is when an access token ends. A replica
whose clock is a minute slow gives tokens out with 240 seconds left instead of 300, which is still more than the 225
below which google-auth calls them expired; one whose clock is fast refreshes a minute early.)

When Google gives no answer the row stays for a while without a holder: until then nobody asks again.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.clock import DATABASE_TIME
from app.database.database import Database
from app.database.tables import grants, owned_by, owner, refresh_leases
from app.errors import ProviderError
from app.grants.grant import Grant
from app.principal import Principal

LEASE_SECONDS = 15.0  # more than app.google.auth.HTTP_TIMEOUT_SECONDS
PAUSE_SECONDS = 1.0  # after a first failure; doubled with each one more
MAX_PAUSE_SECONDS = 60.0
_NOBODY = ""
_LOOK_AGAIN_SECONDS = 0.02  # at first; half as much again each time
_LOOK_AGAIN_SECONDS_AT_MOST = 0.25


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to refresh one grant, for a while.

    Attributes:
        holder: 32 hexadecimal digits, made for this lease.
        failures: How often in a row Google gave no answer before.
    """

    principal: Principal
    grant_id: str
    holder: str
    failures: int


class RefreshLeases:
    """Gives out leases; lives as long as the process and holds none.

    Args:
        database: Where they are kept.
        lease_seconds: After so long a lease may be taken over.
        pause_seconds: How long Google is left alone after a first failure.
    """

    def __init__(
        self, database: Database, *, lease_seconds: float = LEASE_SECONDS, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._pause_seconds = pause_seconds

    async def take(self, grant: Grant) -> RefreshLease | None:
        """Return a lease for this grant, or None while somebody else holds one.

        Read the grant again before it is refreshed: whoever held the lease before may have done so.

        Raises:
            ProviderError: Google gave no answer a moment ago and is left alone for a while.
        """
        holder = uuid.uuid4().hex
        async with self._database.writing() as connection:
            failures = await self._take(connection, grant, holder)
            if failures is not None:
                return RefreshLease(grant.principal, grant.grant_id, holder, failures)
            row = (await connection.execute(_standing(grant))).one_or_none()
        if row is not None and row.holder == _NOBODY and not row.over:
            raise ProviderError(
                f"the sign-in of {grant.provider} gave no answer a moment ago; it is asked again in a while",
                provider=grant.provider,
            )
        return None

    async def wait(self, grant: Grant) -> None:
        """Return once another holder's lease has expired or the grant has new tokens; asks only the database."""
        pause = _LOOK_AGAIN_SECONDS
        while True:
            async with self._database.reading() as connection:
                row = (await connection.execute(_standing(grant))).one_or_none()
            if row is None or row.holder in (None, _NOBODY) or row.over or row.version != grant.version:
                return
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LOOK_AGAIN_SECONDS_AT_MOST)

    async def release(self, lease: RefreshLease) -> None:
        """Give a lease back; one that was taken over is left alone."""
        async with self._database.writing() as connection:
            await connection.execute(refresh_leases.delete().where(*_held(lease)))

    async def pause(self, lease: RefreshLease) -> None:
        """Give a lease back after Google gave no answer: for a while nobody takes it."""
        seconds = min(self._pause_seconds * 2**lease.failures, MAX_PAUSE_SECONDS)
        async with self._database.writing() as connection:
            await connection.execute(
                refresh_leases.update()
                .where(*_held(lease))
                .values(holder=_NOBODY, failures=lease.failures + 1, expires_at=DATABASE_TIME + seconds)
            )

    async def _take(self, connection: AsyncConnection, grant: Grant, holder: str) -> int | None:
        """Take it in one statement; the number of failures before, or None when it is not to be had."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(refresh_leases).values(
            grant_id=grant.grant_id,
            **owner(grant.principal),
            holder=holder,
            failures=0,
            expires_at=DATABASE_TIME + self._lease_seconds,
        )
        taken = insert.on_conflict_do_update(
            index_elements=[refresh_leases.c.grant_id],
            set_={"holder": insert.excluded.holder, "expires_at": insert.excluded.expires_at},
            where=refresh_leases.c.expires_at <= DATABASE_TIME,
        )
        failures: int | None = (
            await connection.execute(taken.returning(refresh_leases.c.failures))
        ).scalar_one_or_none()
        return failures


def _standing(grant: Grant) -> sa.Select[tuple[object, ...]]:
    """Return a query for the grant's version, its lease's holder and whether the lease has expired."""
    return (
        sa.select(
            grants.c.version,
            refresh_leases.c.holder,
            (refresh_leases.c.expires_at <= DATABASE_TIME).label("over"),
        )
        .select_from(grants.outerjoin(refresh_leases, refresh_leases.c.grant_id == grants.c.id))
        .where(owned_by(grants, grant.principal), grants.c.id == grant.grant_id)
    )


def _held(lease: RefreshLease) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        owned_by(refresh_leases, lease.principal),
        refresh_leases.c.grant_id == lease.grant_id,
        refresh_leases.c.holder == lease.holder,
    )
