"""The list of connected Google accounts for administrators, which shows no secret."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import grants, principal_of
from app.principal import Principal


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """One grant, without its tokens.

    Attributes:
        state: active, ending or revoked.
        granted_scopes: In order.
        since: When the account was first connected, POSIX seconds.
        changed_at: When its tokens, or its state, changed last.
    """

    grant_id: str
    principal: Principal
    email: str
    state: str
    granted_scopes: tuple[str, ...]
    since: float
    changed_at: float
    provider: str


async def connected(database: Database) -> list[ConnectedAccount]:
    """Return every grant, by its person; the sealed tokens are not even read."""
    columns = [column for column in grants.c if column is not grants.c.sealed_tokens]
    query = sa.select(*columns).order_by(grants.c.platform, grants.c.tenant, grants.c.user_id, grants.c.created_at)
    async with database.reading() as connection:
        return [
            ConnectedAccount(
                grant_id=row.id,
                principal=principal_of(row),
                email=row.email,
                state=row.state,
                granted_scopes=tuple(row.granted_scopes.split()),
                since=row.created_at,
                changed_at=row.changed_at,
                provider=row.provider,
            )
            for row in await connection.execute(query)
        ]
