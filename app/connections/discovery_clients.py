"""Deputy's clients at authorization servers that were discovered: one for each MCP server, for all processes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.audit.audit import AuditEntry, AuditEvent, record
from app.consent.link import LinkState
from app.database.clock import DATABASE_TIME
from app.database.database import Database
from app.database.tables import consent_links, discovered_clients, grants, principal_of, quarantined_grants
from app.database.transition import changing
from app.grants.grant import GrantState
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal
from app.oauth.description import ClientAuthentication

LEASE_SECONDS = 20.0  # more than a registration and the storing of it take
_RENEW_SECONDS = 24 * 3600.0  # before a client's secret expires
_NOT_REGISTERED = {
    "redirect_uri": "",
    "client_id": "",
    "sealed_secret": "",
    "authentication": ClientAuthentication.NONE.value,
    "expires_at": None,
}
_BEGUN = (LinkState.ISSUED, LinkState.OPENED, LinkState.CONSENTED)
_TABLE = discovered_clients


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Deputy as one authorization server knows it.

    Attributes:
        secret: "" for a public client.
        expires_at: When the secret expires, POSIX seconds; None if it does not.
    """

    client_id: str
    authentication: ClientAuthentication
    secret: str = field(default="", repr=False)
    expires_at: float | None = None


class DiscoveredClients:
    """Stores clients, their secrets sealed; lives as long as the process, is nobody's and holds no secret.

    The first authorization server that an MCP server names is kept too. A refresh token is sent to its issuer only, so
    a server that is taken over cannot have people's refresh tokens sent elsewhere by naming another one.
    """

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def issuer(self, server: str) -> str | None:
        """Return the authorization server that counts for an MCP server; None before the first one is kept."""
        async with self._database.reading() as connection:
            return (
                await connection.execute(sa.select(_TABLE.c.issuer).where(_TABLE.c.server == server))
            ).scalar_one_or_none()

    async def keep_issuer(self, server: str, issuer: str) -> str:
        """Keep the first authorization server that an MCP server names; return the one that counts."""
        insert = (postgresql if self._database.dialect.name == "postgresql" else sqlite).insert(_TABLE)
        async with self._database.writing() as connection:
            row = {"server": server, "issuer": issuer, **_NOT_REGISTERED}
            await connection.execute(insert.values(row).on_conflict_do_nothing())
        return await self.issuer(server) or issuer

    async def accept_issuer(self, server: str, issuer: str) -> int:
        """Let another authorization server count from now on; return how many accounts have to be connected again.

        They were connected at the former one. Their tokens never go to the new one, not even to be revoked.
        """
        begun = sa.and_(consent_links.c.provider == server, consent_links.c.state.in_(_BEGUN))
        living = (GrantState.ACTIVE, GrantState.ENDING)
        async with self._database.writing() as connection:
            update = _TABLE.update().where(_TABLE.c.server == server)
            await connection.execute(update.values(issuer=issuer, **_NOT_REGISTERED))
            await connection.execute(consent_links.update().where(begun).values(state=LinkState.SUPERSEDED))
            await connection.execute(quarantined_grants.delete().where(quarantined_grants.c.provider == server))
            end = changing(
                grants,
                grants.c.provider == server,
                living,
                GrantState.REVOKED,
                sealed_tokens="",
                version=grants.c.version + 1,
                changed_at=(at := self._now()),
            )
            ended = (await connection.execute(end.returning(*grants.c))).all()
            for row in ended:
                entry = AuditEntry(principal_of(row), AuditEvent.REVOKE, at, credential=row.id, provider=server)
                await record(connection, entry)
        return len(ended)

    async def find(self, server: str, issuer: str, redirect_uri: str) -> OAuthClient | None:
        """Return the client that is registered for this redirect URI, or None; also None if it ends within a day.

        Raises:
            SealError: Its secret does not open.
        """
        query = sa.select(_TABLE).where(
            _TABLE.c.server == server,
            _TABLE.c.issuer == issuer,
            _TABLE.c.redirect_uri == redirect_uri,
            _TABLE.c.client_id != "",
            sa.or_(_TABLE.c.expires_at.is_(None), _TABLE.c.expires_at > self._now() + _RENEW_SECONDS),
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        secret = unseal(self._key_ring, _TABLE.c.sealed_secret, row) if row.sealed_secret else ""
        return OAuthClient(row.client_id, ClientAuthentication(row.authentication), secret, row.expires_at)

    async def begin(self, server: str) -> str | None:
        """Return the right to register a client for this server; None while another process has it."""
        holder = uuid.uuid4().hex
        async with self._database.writing() as connection:
            free = sa.or_(_TABLE.c.lease_until.is_(None), _TABLE.c.lease_until <= DATABASE_TIME)
            taken = await connection.execute(
                _TABLE.update()
                .where(_TABLE.c.server == server, free)
                .values(lease_holder=holder, lease_until=DATABASE_TIME + LEASE_SECONDS)
            )
        return holder if taken.rowcount == 1 else None

    async def keep(self, server: str, issuer: str, redirect_uri: str, client: OAuthClient, holder: str) -> bool:
        """Store a client that was registered under this right; return False if the right was lost meanwhile."""
        row = {"server": server, "issuer": issuer, "client_id": client.client_id}
        sealed = seal(self._key_ring, _TABLE.c.sealed_secret, client.secret, row) if client.secret else ""
        async with self._database.writing() as connection:
            kept = await connection.execute(
                _TABLE.update()
                .where(_TABLE.c.server == server, _TABLE.c.issuer == issuer, _TABLE.c.lease_holder == holder)
                .values(
                    redirect_uri=redirect_uri,
                    client_id=client.client_id,
                    authentication=client.authentication.value,
                    sealed_secret=sealed,
                    expires_at=client.expires_at,
                )
            )
        return kept.rowcount == 1

    async def end(self, server: str, holder: str) -> None:
        """Give the right back."""
        async with self._database.writing() as connection:
            await connection.execute(
                _TABLE.update()
                .where(_TABLE.c.server == server, _TABLE.c.lease_holder == holder)
                .values(lease_holder=None, lease_until=None)
            )

    async def forget(self, server: str, client_id: str) -> None:
        """Forget a client that its authorization server does not know any more."""
        async with self._database.writing() as connection:
            await connection.execute(
                _TABLE.update()
                .where(_TABLE.c.server == server, _TABLE.c.client_id == client_id)
                .values(**_NOT_REGISTERED)
            )
