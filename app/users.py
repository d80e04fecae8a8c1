"""The people whom Deputy has seen, and which of them were offboarded.

seen ─► offboarded ─► ended
  ▲          (restored)  │
  └──────────────────────┘

An offboarded person's messages are refused; for an ended person, nothing is left to revoke or erase either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.audit import AuditEntry, AuditEvent, record
from app.database.database import Database
from app.database.prepared import Columns, Prepared
from app.database.tables import of_person, owned_by, principal_of, users, whose
from app.errors import OffboardedError
from app.principal import Principal

_SEEN_AGAIN_SECONDS = 3600.0  # `last_seen_at` is to the hour, so that messages cost one write an hour
_SEEN_AT_MOST = 10_000  # people whom a process remembers having stored
_FIND = Prepared(sa.select(users).where(of_person(users)))
_IS_OFFBOARDED = sa.and_(of_person(users), users.c.offboarded_at.is_not(None))
IS_OFFBOARDED = sa.exists().where(_IS_OFFBOARDED)
"""The condition that the person whom `whose` gives was offboarded."""
_ASK_OFFBOARDED = Prepared(sa.select(users.c.offboarded_at).where(_IS_OFFBOARDED))
_STAY_OFFBOARDED = Prepared(sa.select(users.c.offboarded_at).where(_IS_OFFBOARDED).with_for_update(read=True))


@dataclass(frozen=True, slots=True)
class User:
    """One person; times are POSIX seconds.

    Attributes:
        first_seen_at: When their first message came; None if they were offboarded before they wrote.
        last_seen_at: When their last message came, to the hour.
        offboarded_at: When they were offboarded; since then they are refused.
        ended_at: When nothing was left to revoke or erase.
    """

    principal: Principal
    first_seen_at: float | None
    last_seen_at: float | None
    offboarded_at: float | None
    ended_at: float | None


class Users:
    """Stores people; lives as long as the process, and holds only whom it has stored recently, and when."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._seen: dict[Principal, float] = {}

    async def see(self, principal: Principal) -> None:
        """Record, once an hour, that this person wrote. Whether they may write is checked with each message.

        Raises:
            OffboardedError: They were offboarded; nothing may be accepted from them.
        """
        if self._seen.get(principal, 0.0) < self._now() - _SEEN_AGAIN_SECONDS:
            await self.admit(principal)
            if len(self._seen) >= _SEEN_AT_MOST:
                self._seen.clear()
            self._seen[principal] = self._now()

    async def admit(self, principal: Principal) -> None:
        """Record that this person was seen.

        Raises:
            OffboardedError: They were offboarded; nothing may be accepted from them.
        """
        now = self._now()
        found = (await self._database.fetch(_FIND, whose(principal))).one_or_none()
        user = _user(found) if found is not None else None
        if user is None or (user.last_seen_at or 0.0) < now - _SEEN_AGAIN_SECONDS:
            given = {**whose(principal), "new_first_seen_at": now, "new_last_seen_at": now}
            put = (await self._database.change(self._putting("first_seen_at", "last_seen_at"), given)).one_or_none()
            assert put is not None
            user = _user(put)
        if user.offboarded_at is not None:
            raise OffboardedError(f"{principal} was offboarded; `deputy users restore` lets them in again")

    async def offboard(self, principal: Principal) -> User:
        """Refuse this person from now on; if they are already refused, the earlier time stays."""
        now = self._now()
        async with self._database.writing() as connection:
            await record(connection, AuditEntry(principal, AuditEvent.OFFBOARD, now))
            given = {**whose(principal), "new_offboarded_at": now}
            put = (await self._putting("offboarded_at").execute(connection, given)).one_or_none()
        assert put is not None
        user = _user(put)
        if user.ended_at is not None:
            await self._set(principal, ended_at=None)  # requested again: check again whether anything is left
        return user

    async def mark_ended(self, principal: Principal) -> None:
        """Record that nothing of an offboarded person is left to revoke or erase."""
        await self._set(principal, ended_at=self._now())

    async def restore(self, principal: Principal) -> bool:
        """Let an offboarded person in again, without anything that they had; return False if they were not offboarded.

        Raises:
            OffboardedError: Their offboarding is not finished.
        """
        async with self._database.writing() as connection:
            restored = await connection.execute(
                users.update()
                .where(owned_by(users, principal), users.c.ended_at.is_not(None))
                .values(offboarded_at=None, ended_at=None)
            )
            user = await _find(connection, principal)
        if user is not None and user.offboarded_at is not None:
            raise OffboardedError(f"the offboarding of {principal} is not finished; run `deputy users offboard` again")
        return restored.rowcount == 1

    async def everybody(self) -> list[User]:
        """Return all people, ordered by principal."""
        query = sa.select(users).order_by(users.c.platform, users.c.tenant, users.c.user_id)
        async with self._database.reading() as connection:
            return [_user(row) for row in await connection.execute(query)]

    async def not_ended(self) -> list[Principal]:
        """Return the offboarded people who may still have something to revoke or erase."""
        query = sa.select(users).where(users.c.offboarded_at.is_not(None), users.c.ended_at.is_(None))
        async with self._database.reading() as connection:
            return [principal_of(row) for row in await connection.execute(query)]

    async def offboarded_among(self, people: Collection[Principal]) -> frozenset[Principal]:
        """Return those of these people who were offboarded."""
        if not people:
            return frozenset()
        asked = frozenset(people)
        one_of_them = users.c.user_id.in_({principal.user for principal in asked})  # and of other tenants' people
        query = sa.select(users).where(one_of_them, users.c.offboarded_at.is_not(None))
        async with self._database.reading() as connection:
            return asked.intersection(principal_of(row) for row in await connection.execute(query))

    def _putting(self, *times: str) -> Prepared:
        return _putting(self._database.dialect.name, *times)

    async def _set(self, principal: Principal, *, ended_at: float | None) -> None:
        async with self._database.writing() as connection:
            offboarded = sa.and_(owned_by(users, principal), users.c.offboarded_at.is_not(None))
            await connection.execute(users.update().where(offboarded).values(ended_at=ended_at))


async def is_offboarded(connection: AsyncConnection, principal: Principal) -> bool:
    """Return whether this person is offboarded, according to what is committed at this moment."""
    return bool((await _ASK_OFFBOARDED.execute(connection, whose(principal))).rows)


async def stays_offboarded(connection: AsyncConnection, principal: Principal) -> bool:
    """Return whether this person is offboarded, and keep them so until the caller's transaction ends."""
    return bool((await _STAY_OFFBOARDED.execute(connection, whose(principal))).rows)


async def _find(connection: AsyncConnection, principal: Principal) -> User | None:
    row = (await _FIND.execute(connection, whose(principal))).one_or_none()
    return _user(row) if row is not None else None


@cache
def _putting(dialect_name: str, *times: str) -> Prepared:
    """Return the statement that sets these times of a person, known or new, and returns the row.

    When they were first seen or offboarded is not changed once it is set. Its parameters are `whose`, and each time
    with ``new_`` before its name.
    """
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    named: dict[str, Any] = {column.name: sa.bindparam(f"of_{column.name}") for column in users.primary_key.columns}
    new = {name: sa.bindparam(f"new_{name}", type_=sa.Double) for name in times}
    insert = dialect.insert(users).values(**named, **new)
    kept = {name: sa.func.coalesce(users.c[name], insert.excluded[name]) for name in times}
    if "last_seen_at" in times:
        kept["last_seen_at"] = insert.excluded.last_seen_at
    put = insert.on_conflict_do_update(index_elements=list(users.primary_key.columns), set_=kept)
    return Prepared(put.returning(*users.c))


def _user(row: Columns) -> User:
    return User(principal_of(row), row.first_seen_at, row.last_seen_at, row.offboarded_at, row.ended_at)
