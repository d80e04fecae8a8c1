"""Grants in quarantine, from the provider's consent until the link's person proves that it was they who signed in.

    unchecked ─► waiting ─► (a grant)
        └───────────┴─────► ending ─► (nothing)

A person who consents by somebody else's link binds *their* account to *that* person's chat. State and PKCE do not
help, because they bind a callback to the link. So no consent can be used before its proof. It is stored as soon
as Google has given tokens, unchecked while it is not verified whose they are. A row that is ending is used by nobody
any more; it stays until the grant has ended at Google, so that a crash in between leaves something to go on with.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.audit import AuditEntry, AuditEvent, record
from app.consent.link import Link
from app.database.database import Database
from app.database.prepared import Columns, Prepared, inserting
from app.database.tables import grants, of_person, owned_by, owner, principal_of, quarantined_grants, whose
from app.database.transition import changed
from app.errors import SealError
from app.grants.grant import GrantState
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal
from app.oauth.provider import GOOGLE
from app.oauth.tokens import ProviderAccount, ProviderTokens
from app.principal import Principal

log = logging.getLogger(__name__)

_TABLE = quarantined_grants
_OVER_AT_ONCE = 20


class QuarantineState(StrEnum):
    """Where a grant in quarantine stands."""

    UNCHECKED = "unchecked"  # its account is only claimed, not verified
    WAITING = "waiting"  # for the proof
    ENDING = "ending"  # about to be revoked at Google and erased


ALIVE = (QuarantineState.UNCHECKED, QuarantineState.WAITING)


_IS_WAITING = sa.and_(
    of_person(_TABLE),
    _TABLE.c.state == QuarantineState.WAITING,
    _TABLE.c.expires_at > sa.bindparam("now", type_=sa.Double),
)
_OF_LINK = _TABLE.c.link_id == sa.bindparam("of_link")
_WAITING = Prepared(sa.select(_TABLE).where(_IS_WAITING))
_WAITING_BY_LINK = Prepared(sa.select(_TABLE).where(_IS_WAITING, _OF_LINK))
_ENDING = Prepared(sa.select(_TABLE).where(of_person(_TABLE), _OF_LINK, _TABLE.c.state == QuarantineState.ENDING))


@dataclass(frozen=True, slots=True)
class QuarantinedGrant:
    """One grant in quarantine, opened; its tokens show in no `repr`."""

    link_id: str
    principal: Principal
    account: ProviderAccount
    tokens: ProviderTokens = field(repr=False)
    provider: str = GOOGLE


@dataclass(frozen=True, slots=True)
class Awaited:
    """A consent that waits for its proof.

    Attributes:
        claimed: The proof is being looked at, or was wrong.
        proof: The value to compare with: a code, or the secrets of a sign-in at the channel.
    """

    account: ProviderAccount
    granted_scopes: frozenset[str]
    claimed: bool
    proof: Mapping[str, str] = field(repr=False)


class Quarantine:
    """Stores quarantined grants, tokens and proofs sealed; lives as long as the process and holds none of them."""

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def hold_unchecked(
        self, connection: AsyncConnection, link: Link, tokens: ProviderTokens, claimed: ProviderAccount, *, until: float
    ) -> None:
        """Store what Google granted by a link, before it is verified whose account it is.

        Args:
            connection: The caller's transaction.
            link: By which link.
            tokens: What Google gave.
            claimed: The account that the id_token names; it decides nothing but whose grant would end with this one.
            until: When it is dropped unless it was checked before, POSIX seconds.
        """
        await self._insert(connection, link, tokens, claimed, {}, state=QuarantineState.UNCHECKED, expires_at=until)

    async def hold(
        self,
        connection: AsyncConnection,
        link: Link,
        tokens: ProviderTokens,
        proof: Mapping[str, str],
        *,
        expires_at: float,
    ) -> None:
        """Store what Google granted by a link until `expires_at`, in place of what was stored unchecked.

        Args:
            connection: The caller's transaction.
            link: By which link.
            tokens: What Google gave, with the verified account.
            proof: The expected proof that the link's person signed in.
            expires_at: POSIX seconds.
        """
        assert tokens.account is not None
        mine = sa.and_(owned_by(_TABLE, link.principal), _TABLE.c.link_id == link.link_id)
        unchecked = sa.and_(mine, _TABLE.c.state == QuarantineState.UNCHECKED)
        await connection.execute(_TABLE.delete().where(unchecked))
        await self._insert(
            connection, link, tokens, tokens.account, proof, state=QuarantineState.WAITING, expires_at=expires_at
        )
        await record(connection, AuditEntry(link.principal, AuditEvent.LINK, self._now(), provider=link.provider))

    async def _insert(
        self,
        connection: AsyncConnection,
        link: Link,
        tokens: ProviderTokens,
        account: ProviderAccount,
        proof: Mapping[str, str],
        *,
        state: QuarantineState,
        expires_at: float,
    ) -> None:
        secrets = {"access": tokens.access_token, "refresh": tokens.refresh_token, "expires_at": tokens.expires_at}
        row = {"link_id": link.link_id, **owner(link.principal), "provider": link.provider, "subject": account.subject}
        sealed_tokens = seal(self._key_ring, _TABLE.c.sealed_tokens, json.dumps(secrets), row)
        sealed_proof = seal(self._key_ring, _TABLE.c.sealed_proof, json.dumps(dict(proof)), row)
        whole = {
            **row,
            "email": account.email,
            "granted_scopes": " ".join(sorted(tokens.granted_scopes)),
            "sealed_tokens": sealed_tokens,
            "sealed_proof": sealed_proof,
            "tries": 0,
            "state": state,
            "created_at": self._now(),
            "expires_at": expires_at,
        }
        await inserting(_TABLE, *whole).execute(connection, whole)

    async def take(self, connection: AsyncConnection, principal: Principal, link_id: str) -> QuarantinedGrant | None:
        """Take a waiting grant of this person out of quarantine; None when it does not wait any more.

        Raises:
            SealError: It was sealed for somebody else, or with a key that is gone.
        """
        waiting = _TABLE.delete().where(*self._waiting(principal), _TABLE.c.link_id == link_id)
        row = (await connection.execute(waiting.returning(*_TABLE.c))).one_or_none()
        return self._open(row) if row is not None else None

    async def end(self, connection: AsyncConnection, principal: Principal, link_id: str) -> bool:
        """Let nobody use a grant any more that is still to be ended at Google; return whether it was there."""
        mine = sa.and_(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id)
        return await changed(connection, _TABLE, mine, ALIVE, QuarantineState.ENDING)

    async def over(self) -> list[tuple[Principal, str]]:
        """Return whose grants have waited too long, or are ending, and by which links; some of them if many."""
        over = sa.or_(_TABLE.c.state == QuarantineState.ENDING, _TABLE.c.expires_at <= self._now())
        query = sa.select(_TABLE).where(over).order_by(_TABLE.c.expires_at).limit(_OVER_AT_ONCE)
        async with self._database.reading() as connection:
            return [(principal_of(row), row.link_id) for row in await connection.execute(query)]

    async def find_ending(self, principal: Principal, link_id: str) -> QuarantinedGrant | None:
        """Return a grant of this person that is ending, opened, or None.

        Raises:
            SealError: It was sealed for somebody else, or with a key that is gone.
        """
        row = (await self._database.fetch(_ENDING, {**whose(principal), "of_link": link_id})).one_or_none()
        return self._open(row) if row is not None else None

    async def held_elsewhere(self, grant: QuarantinedGrant) -> bool:
        """Return whether anybody's active grant, or another one in quarantine, is of the same account, or may be.

        Some providers, Google among them, end all that an account granted to this client together: who forwards a link
        must not be able to end what its victim has connected for themselves.
        """
        subject, provider = grant.account.subject, grant.provider
        if not subject:
            return True  # it was never known whose account it is
        active = sa.exists().where(
            grants.c.provider == provider, grants.c.subject == subject, grants.c.state == GrantState.ACTIVE
        )
        waits = sa.exists().where(
            _TABLE.c.provider == provider,
            _TABLE.c.subject == subject,
            _TABLE.c.link_id != grant.link_id,
            _TABLE.c.state.in_(ALIVE),
        )
        async with self._database.reading() as connection:
            return bool((await connection.execute(sa.select(sa.or_(active, waits)))).scalar_one())

    async def erase(self, principal: Principal, link_id: str) -> None:
        """Erase a grant that is ending."""
        mine = sa.and_(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id)
        async with self._database.writing() as connection:
            await connection.execute(_TABLE.delete().where(mine, _TABLE.c.state == QuarantineState.ENDING))

    async def find(self, principal: Principal, link_id: str) -> Awaited | None:
        """Return the consent of this person that waits by this link; None when none waits, or it does not open."""
        given = {**whose(principal), "now": self._now(), "of_link": link_id}
        row = (await self._database.fetch(_WAITING_BY_LINK, given)).one_or_none()
        if row is None:
            return None
        try:
            proof = self.proof(row)
        except SealError as error:
            log.error("nothing can prove the sign-in by link %s: %s", link_id, error)
            return None
        granted_scopes = frozenset(row.granted_scopes.split())
        return Awaited(ProviderAccount(row.subject, row.email), granted_scopes, row.tries > 0, proof)

    async def waiting(self, connection: AsyncConnection, principal: Principal) -> list[Columns]:
        """Return the rows of this person that wait for their proof, in the caller's transaction."""
        given = {**whose(principal), "now": self._now()}
        return [*(await _WAITING.execute(connection, given)).rows]

    async def claim_try(self, principal: Principal, link_id: str) -> bool:
        """Take the only try of a proof that has one; return whether it was there to be taken."""
        mine = sa.and_(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id)
        async with self._database.writing() as connection:
            return await changed(
                connection,
                _TABLE,
                mine,
                QuarantineState.WAITING,
                QuarantineState.WAITING,
                fence=_TABLE.c.tries == 0,
                tries=1,
            )

    def proof(self, row: Columns) -> dict[str, str]:
        """Return the proof that a row waits for.

        Raises:
            SealError: It does not open, so that nothing can prove this one any more.
        """
        opened: dict[str, str] = json.loads(unseal(self._key_ring, _TABLE.c.sealed_proof, row))
        return opened

    def _waiting(self, principal: Principal) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            owned_by(_TABLE, principal),
            _TABLE.c.state == QuarantineState.WAITING,
            _TABLE.c.expires_at > self._now(),
        )

    def _open(self, row: Columns) -> QuarantinedGrant:
        secrets = json.loads(unseal(self._key_ring, _TABLE.c.sealed_tokens, row))
        account = ProviderAccount(row.subject, row.email)
        tokens = ProviderTokens(
            access_token=secrets["access"],
            expires_at=secrets["expires_at"],
            refresh_token=secrets["refresh"],
            granted_scopes=frozenset(row.granted_scopes.split()),
            account=account,
        )
        return QuarantinedGrant(row.link_id, principal_of(row), account, tokens, row.provider)
