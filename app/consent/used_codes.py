"""What a code has connected, remembered until it would have ended: the message that holds it may come again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.codes import is_code
from app.consent.link import LinkState, link_of
from app.consent.links import secrets_bindings
from app.consent.outcome import Connected
from app.consent.quarantine import CODE
from app.database.tables import consent_links, owned_by
from app.errors import SealError
from app.keys.ring import KeyRing
from app.principal import Principal

log = logging.getLogger(__name__)


class UsedCodes:
    """Keeps the code of a link, sealed, in the place of secrets that have served; lives as long as the process."""

    def __init__(self, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._key_ring = key_ring
        self._now = now

    async def remember(self, connection: AsyncConnection, connected: Connected, code: str) -> None:
        """Say in the caller's transaction that this code of the link's person is used, and for what."""
        link = connected.link
        granted_scopes = " ".join(sorted(connected.granted_scopes))
        values = {CODE: code, "subject": connected.subject, "email": connected.email, "granted_scopes": granted_scopes}
        sealed = self._key_ring.seal(json.dumps(values), *secrets_bindings(link.principal, link.link_id))
        mine = sa.and_(owned_by(consent_links, link.principal), consent_links.c.id == link.link_id)
        await connection.execute(consent_links.update().where(mine).values(sealed_secrets=sealed))

    async def find(self, connection: AsyncConnection, principal: Principal, typed: str) -> Connected | None:
        """What this person has connected with this code; None when it is not one that they have just used."""
        used = sa.select(consent_links).where(
            owned_by(consent_links, principal),
            consent_links.c.state == LinkState.ACTIVE,
            consent_links.c.expires_at > self._now(),
        )
        for row in await connection.execute(used):
            link = link_of(row)
            try:
                values = json.loads(self._key_ring.open(row.sealed_secrets, *secrets_bindings(principal, link.link_id)))
            except SealError as error:
                log.error("what link %s has connected is not known: %s", link.link_id, error)
                continue
            if is_code(typed, values.get(CODE, "")):
                granted_scopes = frozenset(values["granted_scopes"].split())
                return Connected(link, values["subject"], values["email"], granted_scopes)
        return None
