"""Used codes and their outcomes, kept until the sign-in would have expired: a code or page may be sent again."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.code_tries import CODE
from app.consent.codes import is_code
from app.consent.link import Link, LinkState, link_of
from app.consent.link_secrets import seal_values, try_values
from app.consent.outcome import Connected, Disconnected
from app.database.tables import consent_links, grants, owned_by
from app.grants.grant import GrantState
from app.keys.ring import KeyRing
from app.principal import Principal


class UsedCodes:
    """Keeps what each link connected, sealed, in the place of its secrets; lives as long as the process."""

    def __init__(self, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._key_ring = key_ring
        self._now = now

    async def remember(self, connection: AsyncConnection, connected: Connected, code: str | None) -> None:
        """Store in the caller's transaction what a link connected, and by which code of its person, if by one."""
        link = connected.link
        granted_scopes = " ".join(sorted(connected.granted_scopes))
        values = {"subject": connected.subject, "email": connected.email, "granted_scopes": granted_scopes}
        sealed = seal_values(self._key_ring, link, values | ({CODE: code} if code else {}))
        mine = sa.and_(owned_by(consent_links, link.principal), consent_links.c.id == link.link_id)
        await connection.execute(consent_links.update().where(mine).values(sealed_secrets=sealed))

    async def find(
        self, connection: AsyncConnection, principal: Principal, typed: str
    ) -> Connected | Disconnected | None:
        """Return what this person has connected with this code; None when it is not one that they have just used."""
        used = _active(principal, consent_links.c.expires_at > self._now())
        for row in await connection.execute(used):
            if is_code(typed, try_values(self._key_ring, row).get(CODE, "")):
                return await self._outcome(connection, row)
        return None

    async def of_link(self, connection: AsyncConnection, link: Link) -> Connected | Disconnected | None:
        """Return what this link has connected; None when it connected nothing, or that is not known any more."""
        query = _active(link.principal, consent_links.c.id == link.link_id)
        row = (await connection.execute(query)).one_or_none()
        return await self._outcome(connection, row) if row is not None else None

    async def _outcome(
        self, connection: AsyncConnection, row: sa.Row[tuple[object, ...]]
    ) -> Connected | Disconnected | None:
        values = try_values(self._key_ring, row)
        if "subject" not in values:
            return None
        link = link_of(row)
        alive = sa.exists().where(
            owned_by(grants, link.principal),
            grants.c.provider == link.provider,
            grants.c.subject == values["subject"],
            grants.c.state == GrantState.ACTIVE,
        )
        kind = Connected if (await connection.execute(sa.select(alive))).scalar_one() else Disconnected
        return kind(link, values["subject"], values["email"], frozenset(values["granted_scopes"].split()))


def _active(principal: Principal, which: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    return sa.select(consent_links).where(
        owned_by(consent_links, principal), consent_links.c.state == LinkState.ACTIVE, which
    )
