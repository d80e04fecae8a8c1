"""Opening, migrating and closing the database, and the two kinds of transaction on it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.database import postgresql, sqlite
from app.database.group import GroupCommit
from app.database.migration_lock import to_migrate
from app.database.prepared import Executed, Parameters, Prepared
from app.database.reach import make_private, refuse_transaction_pooling, unreachable
from app.database.refusals import BUSY_SECONDS, Refusals
from app.database.revision import revisions, upgrade
from app.database.url import described, fault_of
from app.errors import SettingsError
from app.frames import frames_emptied

_TAKE_TURN = Prepared(sa.select(sa.func.pg_advisory_xact_lock(sa.bindparam("key", type_=sa.BigInteger))))
_CLOSE_SECONDS = 5.0
_OPENED_AT_START = 5  # connections to a server; more are opened when they are needed


class Database:
    """Holds the connection pool; lives as long as the process and knows no principal.

    The constructor does no I/O. Keep transactions short: never hold one during a call to a model or to Google.

    Raises:
        SettingsError: The URL is not one that SQLAlchemy can open asynchronously, or names no file.
    """

    def __init__(self, url: str) -> None:
        if fault := fault_of(url):
            raise SettingsError(f"database.url: {fault}")
        self._url = sa.make_url(url)
        self._sqlite = sqlite.SqliteDriver()
        self._refusals = Refusals()
        arguments = {"module": self._sqlite} if self._is_sqlite() else postgresql.engine_arguments(self._url)
        try:
            # Parameters are hidden, because an error's text would quote what people wrote.
            self._engine = create_async_engine(self._url, hide_parameters=True, **arguments)
        except (sa.exc.ArgumentError, sa.exc.InvalidRequestError, ImportError, ValueError, TypeError) as error:
            kind = type(error).__name__  # not the text: it may quote the URL with its password
        else:
            kind = ""
        if kind:
            raise SettingsError(f"database.url: its driver does not accept the part after the ? ({kind})")
        self._reader = self._engine
        if self._is_sqlite():
            sqlite.prepare(self._engine.sync_engine)
        else:
            postgresql.prepare(self._engine.sync_engine)
            # Each statement sees everything committed before it (READ COMMITTED), in a transaction or not.
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._group = GroupCommit(self._engine)
        self._straight = postgresql.straight_connections(self._engine)
        self._reading = sqlite.SqliteReader(self._engine.sync_engine, self._sqlite)

    def __repr__(self) -> str:
        return f"Database({described(self._url)})"

    @property
    def url(self) -> sa.URL:
        """The database's URL. It contains the password: never log it, not even masked; log `described(url)`."""
        return self._url

    @property
    def dialect(self) -> sa.Dialect:
        """SQLAlchemy's dialect of it."""
        return self._engine.dialect

    def exists(self) -> bool:
        """Return whether the database file exists; for a server, return True, because only connecting can tell."""
        return not self._is_sqlite() or Path(str(self._url.database)).exists()

    async def open(self) -> None:
        """Connect and bring the schema up to date; safe to call from several processes at once.

        After an error nothing is open.

        Raises:
            SettingsError: The database cannot be reached, was migrated by a newer version, or an idle session blocks
                its migration.
        """
        async with AsyncExitStack() as on_error:
            on_error.push_async_callback(self.close)
            await self._reach()
            if self._is_sqlite():
                await self._write_ahead()
            async with self.writing() if self._is_sqlite() else to_migrate(self._url) as connection:
                await connection.run_sync(upgrade)
            if not self._is_sqlite():  # open connections now, not while people wait
                await asyncio.gather(*(self.ping() for _ in range(_OPENED_AT_START)))
            else:
                self._sqlite.busy_seconds = BUSY_SECONDS
            on_error.pop_all()

    async def revisions(self) -> tuple[str | None, str]:
        """Return the schema's revision, None for an empty database, and the revision that this version needs.

        Raises:
            SettingsError: The database cannot be reached.
        """
        await self._reach()
        async with self.reading() as connection:
            return await connection.run_sync(revisions)

    async def close(self) -> None:
        """Close every connection, whether the server answers or not."""
        self._reading.close()
        for end in (self._group.close, self._close_connections):
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await end()

    async def _close_connections(self) -> None:
        if self._straight is not None:
            await self._straight.close()
        await self._engine.dispose()

    async def ping(self) -> None:
        """Return when the database answers.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It does not.
        """
        async with self.reading() as connection:
            await connection.execute(sa.select(sa.literal(1)))

    async def check(self) -> None:
        """Check that the database answers and, if it has refused a change, that it accepts changes again.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It does not.
        """
        if not self._refusals.any:
            await self.ping()
            return
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await asyncio.to_thread(self._refusals.try_again, driver)

    async def end_stuck(self, seconds: float) -> int:
        """End every transaction that has waited for its Deputy process for `seconds`; return how many were ended.

        A process that is suspended within a transaction, or whose machine is gone, blocks everybody else with its
        locks. On SQLite nothing is ended: a dead process holds no locks there.
        """
        if self._is_sqlite():
            return 0
        with suppress(sa.exc.SQLAlchemyError, OSError):  # every connection of the pool may be blocked
            async with self.reading() as connection:
                if not await postgresql.any_stuck(connection, seconds):
                    return 0
        return await postgresql.end_stuck(self._url, seconds)

    async def _reach(self) -> None:
        try:
            if self._is_sqlite():
                make_private(Path(str(self._url.database)))
            await self.ping()
            if not self._is_sqlite():
                await refuse_transaction_pooling(self._url)
        except (sa.exc.SQLAlchemyError, OSError, TypeError) as error:  # TypeError: a parameter that the driver lacks
            raise unreachable(self._url, error) from None

    async def _write_ahead(self) -> None:
        """Switch the file to write-ahead logging (https://www.sqlite.org/wal.html), permanently."""
        async with self._engine.connect() as connection:
            try:
                await connection.run_sync(sqlite.write_ahead)
            except sqlite3.OperationalError as error:
                raise unreachable(self._url, error) from None

    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def reading(self, *, long: bool = False) -> AsyncIterator[AsyncConnection]:
        """Yield a connection for reading: on SQLite from one snapshot, on PostgreSQL from one per statement.

        Args:
            long: A statement may read more than a few rows, so on SQLite the event loop must not wait for it.
        """
        with frames_emptied():
            async with self._reader.connect() as connection:
                if long:
                    await connection.execution_options(**{sqlite.LONG: True})
                async with connection.begin():
                    yield connection

    async def fetch(self, statement: Prepared, parameters: Parameters) -> Executed:
        """Return what a prepared statement that only reads finds, by itself in one snapshot."""
        with frames_emptied():
            if self._is_sqlite():
                return await self._reading.fetch(statement, parameters)
            async with self._straight.one() if self._straight is not None else self._reader.begin() as connection:
                return await statement.execute(connection, parameters)

    async def change(self, statement: Prepared, parameters: Parameters) -> Executed:
        """Return what a prepared statement that writes did, as a transaction by itself."""
        if self._straight is not None:
            return await self.fetch(statement, parameters)
        async with self.writing() as connection:
            return await statement.execute(connection, parameters)

    @asynccontextmanager
    async def writing(self, *, turn: Sequence[str] = ()) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction for writing; commit it at the end, or roll it back on an error.

        Args:
            turn: A key to begin with `take_turns` for, without a round trip for it.
        """
        with frames_emptied(), self._refusals.noted() as check:
            if self._straight is not None:
                lock = f"SELECT pg_advisory_xact_lock({lock_of(turn)})" if turn else ""
                async with self._straight.transaction(lock) as connection:
                    yield connection
                return
            async with self._group.writing(check) if self._is_sqlite() else self._engine.begin() as connection:
                if turn:
                    await take_turns(connection, *turn)
                yield connection


async def take_turns(connection: AsyncConnection, *key: str) -> None:
    """Wait until no other transaction holds this key, and hold it until this transaction ends.

    Later reads see everything that earlier holders have written. SQLite has only one writer anyway; PostgreSQL uses an
    advisory lock (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS).
    """
    if connection.dialect.name == "postgresql":
        await _TAKE_TURN.execute(connection, {"key": lock_of(key)})


def lock_of(key: Sequence[str]) -> int:
    """Return the number of PostgreSQL's advisory lock that transactions with this key take turns by."""
    digest = hashlib.blake2b(json.dumps([*key]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
