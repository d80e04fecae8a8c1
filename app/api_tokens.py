"""Tokens of the HTTP interface: each identifies one principal, and is stored as a hash that is bound to them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
import uuid
from collections.abc import Callable

import sqlalchemy as sa

from app.characters import normal_form
from app.database.database import Database
from app.database.prepared import Columns, Prepared
from app.database.tables import api_tokens, of_person, owned_by, owner, principal_of, whose
from app.errors import OverLimitError, PrincipalError, SealError, UnauthenticatedError
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal
from app.principal import Principal
from app.users import stays_offboarded

log = logging.getLogger(__name__)

PREFIX = "dpt_"  # so that secret scanners and people recognise one

MAX_TOKENS = 100  # of one person, at a time


_VALID = Prepared(
    sa.select(api_tokens).where(api_tokens.c.token_hash == sa.bindparam("of_hash"), api_tokens.c.revoked_at.is_(None))
)
_WITH_EMAIL = Prepared(
    sa.select(api_tokens)
    .where(of_person(api_tokens), api_tokens.c.revoked_at.is_(None), api_tokens.c.email.is_not(None))
    .order_by(api_tokens.c.created_at.desc())
)


class ApiTokens:
    """Issues and recognises tokens; lives as long as the process and holds none.

    A token is found by its hash, and is valid only if the row's sealed verifier opens for the row's own person and
    address, and contains the same hash. So somebody who can write to the database, but has no key, cannot make a token
    identify anybody.
    """

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def issue(self, principal: Principal, *, label: str, email: str | None = None) -> str:
        """Return a new token, "dpt_" and 43 characters, that cannot be shown again. Earlier tokens stay valid.

        Args:
            principal: The person whom it identifies.
            label: The token's purpose.
            email: Their address, vouched for by the administrator who issues the token; in workspace mode, it decides
                which Google account is used.

        Raises:
            PrincipalError: The principal does not belong to the HTTP interface, or is not written in normal form:
                somebody else could look the same. Tokens that were issued before this was checked stay valid.
            OverLimitError: They have `MAX_TOKENS` valid tokens.
        """
        if principal.platform != "http":
            raise PrincipalError(f"a token needs a principal of the HTTP interface, http:…:…; got {principal}")
        _check_normal(principal)
        token = PREFIX + secrets.token_urlsafe(32)
        row = {"id": uuid.uuid4().hex, **owner(principal), "email": email}
        valid = sa.and_(owned_by(api_tokens, principal), api_tokens.c.revoked_at.is_(None))
        async with self._database.writing() as connection:
            count = await connection.scalar(sa.select(sa.func.count()).select_from(api_tokens).where(valid))
            if (count or 0) >= MAX_TOKENS:
                raise OverLimitError(
                    f"{principal} has {MAX_TOKENS} valid tokens, which is the limit; `deputy tokens revoke` ends them"
                )
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
        """Revoke this principal's tokens, or those with one label; return how many were revoked.

        Their verifiers are erased, so that nobody can restore one by clearing the row's time of revocation.

        Args:
            principal: The tokens' person.
            label: The tokens' label; None for all tokens.
            leaver: Whether to revoke only if they are still offboarded at the moment of the change.
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
        """Return the person whom a token identifies.

        Raises:
            UnauthenticatedError: It is unknown or revoked, or its row is not the one that was issued.
        """
        row = (await self._database.fetch(_VALID, {"of_hash": _hash(token)})).one_or_none()
        if row is None or not self._verifies(row):
            raise UnauthenticatedError("this token is unknown or revoked; make one with `deputy tokens issue`")
        return principal_of(row)

    async def lookalikes(self, principal: Principal) -> tuple[Principal, ...]:
        """Return other principals whose names look the same; they had tokens before `issue` refused such names."""
        columns = (api_tokens.c.platform, api_tokens.c.tenant, api_tokens.c.user_id)
        query = sa.select(*columns).where(api_tokens.c.platform == principal.platform).distinct().order_by(*columns)
        async with self._database.reading() as connection:
            known = [Principal(*row) for row in await connection.execute(query)]
        return tuple(each for each in known if each != principal and _normal(each) == _normal(principal))

    async def find_email(self, principal: Principal) -> str | None:
        """Return the address recorded with this principal's newest valid token that has one, or None."""
        rows = (await self._database.fetch(_WITH_EMAIL, whose(principal))).rows
        return next((str(row.email) for row in rows if self._verifies(row)), None)

    def _verifies(self, row: Columns) -> bool:
        try:
            verifier = unseal(self._key_ring, api_tokens.c.sealed_verifier, row)
        except SealError as error:
            log.error("the API token of row %s is not valid: %s", row.id, error)
            return False
        return hmac.compare_digest(verifier, row.token_hash)


def _check_normal(principal: Principal) -> None:
    """Check that nobody else's name would look like this one.

    Raises:
        PrincipalError: It could; the message says how to write it.
    """
    names = _normal(principal)
    if names != (principal.platform, principal.tenant, principal.user):
        wanted = f"; write {Principal(*names)}" if all(names) else ""
        raise PrincipalError(f"{principal} has blanks, unseen or decomposed characters that hide who it is{wanted}")


def _normal(principal: Principal) -> tuple[str, str, str]:
    return normal_form(principal.platform), normal_form(principal.tenant), normal_form(principal.user)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()  # enough for 256 random bits
