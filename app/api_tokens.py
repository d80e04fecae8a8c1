"""Tokens of the HTTP interface: each stands for one principal, and is stored as a hash that is bound to them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
import uuid
from collections.abc import Callable

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import api_tokens, owned_by, owner, principal_of
from app.errors import PrincipalError, SealError, UnauthenticatedError
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal
from app.principal import Principal
from app.users import stays_offboarded

log = logging.getLogger(__name__)

PREFIX = "dpt_"  # so that secret scanners and people recognise one


class ApiTokens:
    """Issues and recognises tokens; lives as long as the process and holds none.

    A token's hash is found by the hash, and counts only if the row's sealed verifier opens for the row's own person
    and address, and holds the same hash: whoever can write to the database, but has no key, can make a token stand for
    nobody.
    """

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def issue(self, principal: Principal, *, label: str, email: str | None = None) -> str:
        """A new token, "dpt_" and 43 characters, that cannot be shown again. Earlier ones go on to work.

        Args:
            principal: Whom it stands for.
            label: What it is for.
            email: Their address, for which whoever issues the token vouches; in workspace mode it says whose Google
                account is used.

        Raises:
            PrincipalError: The principal is not of the HTTP interface.
        """
        if principal.platform != "http":
            raise PrincipalError(f"a token stands for a principal of the HTTP interface, http:…:…; got {principal}")
        token = PREFIX + secrets.token_urlsafe(32)
        row = {"id": uuid.uuid4().hex, **owner(principal), "email": email}
        async with self._database.writing() as connection:
            await connection.execute(
                api_tokens.insert().values(
                    **row,
                    token_hash=_hash(token),
                    label=label,
                    sealed_verifier=seal(self._key_ring, api_tokens.c.sealed_verifier, _hash(token), row),
                    created_at=self._now(),
                )
            )
        return token

    async def revoke(self, principal: Principal, *, label: str | None = None, leaver: bool = False) -> int:
        """End this principal's tokens, or those with one label; returns how many ended.

        Their verifiers are erased, so that nobody can bring one back by taking the time of its end out of the row.

        Args:
            principal: Whose.
            label: Of which label; all if None.
            leaver: Only if they are offboarded, also in that very moment.
        """
        mine = sa.and_(owned_by(api_tokens, principal), api_tokens.c.revoked_at.is_(None))
        if label is not None:
            mine = sa.and_(mine, api_tokens.c.label == label)
        async with self._database.writing() as connection:
            if leaver and not await stays_offboarded(connection, principal):
                return 0
            ended = await connection.execute(
                api_tokens.update().where(mine).values(revoked_at=self._now(), sealed_verifier="")
            )
        return ended.rowcount

    async def principal_of(self, token: str) -> Principal:
        """Whom a token stands for.

        Raises:
            UnauthenticatedError: It is unknown or revoked, or its row is not the one that was issued.
        """
        query = sa.select(api_tokens).where(api_tokens.c.token_hash == _hash(token), api_tokens.c.revoked_at.is_(None))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or not self._verifies(row):
            raise UnauthenticatedError("this token is unknown or revoked; make one with `deputy tokens issue`")
        return principal_of(row)

    async def find_email(self, principal: Principal) -> str | None:
        """The address that was vouched for last with a token of this principal's that still works, or None."""
        mine = sa.and_(
            owned_by(api_tokens, principal), api_tokens.c.revoked_at.is_(None), api_tokens.c.email.is_not(None)
        )
        async with self._database.reading() as connection:
            query = sa.select(api_tokens).where(mine).order_by(api_tokens.c.created_at.desc())
            rows = (await connection.execute(query)).all()
        return next((str(row.email) for row in rows if self._verifies(row)), None)

    def _verifies(self, row: sa.Row[tuple[object, ...]]) -> bool:
        try:
            verifier = unseal(self._key_ring, api_tokens.c.sealed_verifier, row)
        except SealError as error:
            log.error("the API token of row %s stands for nobody: %s", row.id, error)
            return False
        return hmac.compare_digest(verifier, row.token_hash)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()  # enough for 256 random bits
