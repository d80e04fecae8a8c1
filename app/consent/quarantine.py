"""Grants in quarantine: what Google granted by a link, until its person proves that it was they who signed in.

    waiting ─► (a grant)
       └─────► ending ─► (nothing)

Whoever is sent somebody else's link and consents binds *their* account to *that* person's chat; state and PKCE do not
help, for they bind a callback to the link. So nothing of a consent can be used before its proof. A row that is ending
is used by nobody any more; it stays until Google was told, so that a crash in between leaves something to go on with.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.audit import AuditEntry, AuditEvent, record
from app.consent.codes import is_code
from app.consent.link import Link
from app.database.database import Database
from app.database.tables import grants, owned_by, owner, principal_of, quarantined_grants
from app.errors import SealError
from app.google.tokens import GoogleAccount, GoogleTokens
from app.keys.ring import KeyRing
from app.principal import Principal

log = logging.getLogger(__name__)

CODE = "code"  # the name under which a proof holds a code

WAITING = "waiting"
ENDING = "ending"

_TABLE = quarantined_grants
_OVER_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class QuarantinedGrant:
    """One grant in quarantine, opened; its tokens show in no `repr`."""

    link_id: str
    principal: Principal
    tokens: GoogleTokens = field(repr=False)

    @property
    def account(self) -> GoogleAccount:
        """The Google account that signed in."""
        assert self.tokens.account is not None
        return self.tokens.account


@dataclass(frozen=True, slots=True)
class WrongCode:
    """A code that is none of this person's: how many tries they have left, and what has ended by it."""

    tries_left: int
    ended: tuple[str, ...]  # ids of links


class Quarantine:
    """Stores quarantined grants, tokens and codes sealed; lives as long as the process and holds none of them.

    Args:
        code_tries: After so many wrong codes a grant is dropped.
    """

    def __init__(
        self, database: Database, key_ring: KeyRing, *, code_tries: int, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._key_ring = key_ring
        self._code_tries = code_tries
        self._now = now

    async def hold(
        self, connection: AsyncConnection, link: Link, tokens: GoogleTokens, proof: dict[str, str], *, expires_at: float
    ) -> QuarantinedGrant:
        """Keep what Google granted by a link until `expires_at`; the caller's transaction commits it."""
        held = QuarantinedGrant(link.link_id, link.principal, tokens)
        assert tokens.refresh_token is not None
        secrets = {"access": tokens.access_token, "refresh": tokens.refresh_token, "expires_at": tokens.expires_at}
        await connection.execute(
            _TABLE.insert().values(
                link_id=link.link_id,
                **owner(link.principal),
                subject=held.account.subject,
                email=held.account.email,
                granted_scopes=" ".join(sorted(tokens.granted_scopes)),
                sealed_tokens=self._key_ring.seal(json.dumps(secrets), *_bindings("tokens", held)),
                sealed_proof=self._key_ring.seal(json.dumps(proof), *_bindings("proof", held)),
                tries=0,
                state=WAITING,
                created_at=self._now(),
                expires_at=expires_at,
            )
        )
        await record(connection, AuditEntry(link.principal, AuditEvent.LINK, self._now()))
        return held

    async def find_by_code(
        self, connection: AsyncConnection, principal: Principal, typed: str, *, message_id: str | None = None
    ) -> str | WrongCode | None:
        """The link by which a grant waits for this code of this person; call it in the person's turn.

        A wrong code counts as a try for every sign-in of the person that waits, once a message. None means that none
        waits.
        """
        waiting = list(
            await connection.execute(
                sa.select(_TABLE).where(
                    owned_by(_TABLE, principal), _TABLE.c.state == WAITING, _TABLE.c.expires_at > self._now()
                )
            )
        )
        codes = {row.link_id: (self._proof(row) or {}).get(CODE, "") for row in waiting}
        waiting = [row for row in waiting if codes[row.link_id]]
        right = [row for row in waiting if is_code(typed, codes[row.link_id])]
        if right:
            return str(right[0].link_id)
        return await self._count_try(connection, waiting, message_id) if waiting else None

    async def take(self, connection: AsyncConnection, principal: Principal, link_id: str) -> QuarantinedGrant | None:
        """Take a waiting grant of this person out of quarantine; None when it does not wait any more.

        Raises:
            SealError: It was sealed for somebody else, or with a key that is gone.
        """
        row = (
            await connection.execute(
                _TABLE.delete()
                .where(
                    owned_by(_TABLE, principal),
                    _TABLE.c.link_id == link_id,
                    _TABLE.c.state == WAITING,
                    _TABLE.c.expires_at > self._now(),
                )
                .returning(*_TABLE.c)
            )
        ).one_or_none()
        return self._open(row) if row is not None else None

    async def end(self, connection: AsyncConnection, principal: Principal, link_id: str) -> bool:
        """Let nobody use a waiting grant any more; `drop` is still to come. False when it does not wait."""
        ended = await connection.execute(
            _TABLE.update()
            .where(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id, _TABLE.c.state == WAITING)
            .values(state=ENDING)
        )
        return ended.rowcount == 1

    async def over(self) -> list[tuple[Principal, str]]:
        """Whose grants have waited too long, or are ending, and by which links; some of them if there are many."""
        query = sa.select(_TABLE).where(sa.or_(_TABLE.c.state == ENDING, _TABLE.c.expires_at <= self._now()))
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(_TABLE.c.expires_at).limit(_OVER_AT_ONCE))
            return [(principal_of(row), row.link_id) for row in rows]

    async def find_ending(self, principal: Principal, link_id: str) -> QuarantinedGrant | None:
        """A grant of this person that is ending, opened, or None.

        Raises:
            SealError: It was sealed for somebody else, or with a key that is gone.
        """
        row = await self._ending(principal, link_id)
        return self._open(row) if row is not None else None

    async def held_elsewhere(self, grant: QuarantinedGrant) -> bool:
        """Whether anybody's active grant, or another one in quarantine, is of the same Google account.

        Google ends all that an account granted to this client together: who forwards a link must not be able to end
        what its victim has connected for themselves.
        """
        subject = grant.account.subject
        active = sa.exists().where(grants.c.subject == subject, grants.c.state == "active")
        waits = sa.exists().where(
            _TABLE.c.subject == subject, _TABLE.c.link_id != grant.link_id, _TABLE.c.state == WAITING
        )
        async with self._database.reading() as connection:
            return bool((await connection.execute(sa.select(sa.or_(active, waits)))).scalar_one())

    async def erase(self, principal: Principal, link_id: str) -> None:
        """Erase a grant that is ending."""
        mine = sa.and_(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id, _TABLE.c.state == ENDING)
        async with self._database.writing() as connection:
            await connection.execute(_TABLE.delete().where(mine))

    async def find_proof(self, principal: Principal, link_id: str) -> dict[str, str] | None:
        """What proves the consent that waits by this link of this person; None when none waits."""
        query = sa.select(_TABLE).where(
            owned_by(_TABLE, principal),
            _TABLE.c.link_id == link_id,
            _TABLE.c.state == WAITING,
            _TABLE.c.expires_at > self._now(),
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return self._proof(row) if row is not None else None

    async def claim_try(self, principal: Principal, link_id: str) -> bool:
        """Take the only try of a proof that has one; False when it was taken."""
        first = sa.and_(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id, _TABLE.c.tries == 0)
        async with self._database.writing() as connection:
            claimed = await connection.execute(_TABLE.update().where(first, _TABLE.c.state == WAITING).values(tries=1))
        return claimed.rowcount == 1

    async def _count_try(
        self, connection: AsyncConnection, rows: Sequence[sa.Row[tuple[object, ...]]], message_id: str | None
    ) -> WrongCode:
        left: dict[str, int] = {}
        for row in rows:
            tried_by = row.tried_by.split()
            left[row.link_id] = self._code_tries - row.tries
            if message_id in tried_by:
                continue  # it was interrupted before it was answered, and is taken again
            left[row.link_id] -= 1
            await connection.execute(
                _TABLE.update()
                .where(_TABLE.c.link_id == row.link_id, _TABLE.c.state == WAITING)
                .values(
                    tries=_TABLE.c.tries + 1,
                    tried_by=" ".join([*tried_by, *([message_id] if message_id else [])]),
                    state=WAITING if left[row.link_id] > 0 else ENDING,
                )
            )
        return WrongCode(max(left.values()), tuple(link_id for link_id, tries in left.items() if tries <= 0))

    async def _ending(self, principal: Principal, link_id: str) -> sa.Row[tuple[object, ...]] | None:
        mine = sa.and_(owned_by(_TABLE, principal), _TABLE.c.link_id == link_id, _TABLE.c.state == ENDING)
        async with self._database.reading() as connection:
            return (await connection.execute(sa.select(_TABLE).where(mine))).one_or_none()

    def _proof(self, row: sa.Row[tuple[object, ...]]) -> dict[str, str] | None:
        """The proof that a row waits for; None where it does not open, as nothing can prove that one any more."""
        try:
            opened: dict[str, str] = json.loads(self._key_ring.open(row.sealed_proof, *_row_bindings("proof", row)))
        except SealError as error:
            log.error("the sign-in by link %s waits for nothing: %s", row.link_id, error)
            return None
        return opened

    def _open(self, row: sa.Row[tuple[object, ...]]) -> QuarantinedGrant:
        secrets = json.loads(self._key_ring.open(row.sealed_tokens, *_row_bindings("tokens", row)))
        tokens = GoogleTokens(
            access_token=secrets["access"],
            expires_at=secrets["expires_at"],
            refresh_token=secrets["refresh"],
            granted_scopes=frozenset(row.granted_scopes.split()),
            account=GoogleAccount(row.subject, row.email),
        )
        return QuarantinedGrant(row.link_id, principal_of(row), tokens)


def _bindings(kind: str, held: QuarantinedGrant) -> tuple[str, ...]:
    person = (held.principal.platform, held.principal.tenant, held.principal.user)
    return (f"quarantined_grants.{kind}", *person, held.account.subject, held.link_id)


def _row_bindings(kind: str, row: sa.Row[tuple[object, ...]]) -> tuple[str, ...]:
    return (f"quarantined_grants.{kind}", row.platform, row.tenant, row.user_id, row.subject, row.link_id)
