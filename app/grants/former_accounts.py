"""The addresses of accounts that were disconnected, sealed and kept for a while so that the audit can name them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import former_accounts, grants, owned_by, owner
from app.errors import SealError
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal
from app.principal import Principal


async def keep_addresses(connection: AsyncConnection, key_ring: KeyRing, principal: Principal, now: float) -> None:
    """Seal the address of each grant of this person, in the transaction that deletes those grants.

    The audit trail can only be added to and names a grant by its id, so the address cannot stand in its rows: it must
    be possible to erase it (`delivery.account_days`) and to seal it anew with another key.
    """
    held = (await connection.execute(sa.select(grants.c.id, grants.c.email).where(owned_by(grants, principal)))).all()
    for row in held:
        values = {**owner(principal), "grant_id": row.id, "ended_at": now}
        sealed = seal(key_ring, former_accounts.c.sealed_email, row.email, values)
        await connection.execute(former_accounts.insert().values(**values, sealed_email=sealed))


async def account_addresses(database: Database, key_ring: KeyRing) -> dict[str, str]:
    """Return the address of each account by its grant's id, connected or not; without those that do not open."""
    async with database.reading() as connection:
        found = {row.id: row.email for row in await connection.execute(sa.select(grants.c.id, grants.c.email))}
        former = (await connection.execute(sa.select(former_accounts))).all()
    for row in former:
        try:
            found[row.grant_id] = unseal(key_ring, former_accounts.c.sealed_email, row)
        except SealError:
            continue
    return found
