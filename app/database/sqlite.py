"""SQLite by the standard library's `sqlite3`, in the event loop's own thread.

A statement of ours takes less time than handing it to another thread and back. What waits for the disk leaves the loop:
every commit, and each statement of a transaction that may read a whole table.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection, AsyncAdapt_dbapi_cursor
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_dbapi
from sqlalchemy.util import await_only

from app.database.prepared import Executed, Parameters, Prepared

WRITES = "deputy_writes"  # execution option of a connection that is about to write
LONG = "deputy_long"  # execution option of a connection whose statements may take long
_START_BUSY_SECONDS = 10.0  # how long another process's write is waited for at the start; it may be a migration
_TRY_AGAIN_SECONDS = 0.005
# An acknowledged message must survive a power cut, hence synchronous=FULL (https://www.sqlite.org/pragma.html).
# Waiting for another process is up to us, as the loop must not stand still meanwhile.
_PRAGMAS = ("busy_timeout=0", "synchronous=FULL", "foreign_keys=ON")

T = TypeVar("T")


class SqliteDriver(AsyncAdapt_aiosqlite_dbapi):
    """What SQLAlchemy takes for the driver; lives as long as the engine, and has one thread for what takes long.

    Attributes:
        busy_seconds: For how long another process's write is waited for.
    """

    def __init__(self) -> None:
        import aiosqlite

        super().__init__(aiosqlite, sqlite3)
        self.busy_seconds = _START_BUSY_SECONDS
        self.threads = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    def connect(self, *arguments: Any, **named: Any) -> Any:
        """Open a connection; waits for nothing but the file."""
        named |= {"check_same_thread": False, "isolation_level": None, "timeout": 0.0}
        return _Connection(self, sqlite3.connect(*arguments, **named))


def prepare(engine: sa.Engine) -> None:
    """Have transactions begun by us, and pragmas set."""
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin)


def write_ahead(connection: sa.Connection) -> None:
    """Let the file write ahead, for good.

    Raises:
        sqlite3.OperationalError: Another process has kept it from it for too long.
    """
    driver: Any = connection.connection.dbapi_connection
    driver.patiently(driver.sqlite.execute, "PRAGMA journal_mode=WAL")


class SqliteReader:
    """A connection for prepared statements that read. One is enough, as none of them leaves the loop.

    It lives as long as the engine and is opened by the first statement.
    """

    def __init__(self, engine: sa.Engine, driver: SqliteDriver) -> None:
        self._engine = engine
        self._driver = driver
        self._connection: sqlite3.Connection | None = None

    async def fetch(self, statement: Prepared, parameters: Parameters) -> Executed:
        """Return what a statement finds.

        Raises:
            sqlalchemy.exc.DBAPIError: The file cannot be read.
        """
        until = time.monotonic() + self._driver.busy_seconds
        while True:
            try:
                return statement.on_sqlite(self._open(), self._engine, parameters)
            except sa.exc.OperationalError as error:
                busy = isinstance(error.orig, sqlite3.OperationalError) and _is_passing(error.orig)
                if not busy or time.monotonic() > until:
                    raise
            await asyncio.sleep(_TRY_AGAIN_SECONDS)

    def close(self) -> None:
        """Close the connection; a later statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            arguments, named = self._engine.dialect.create_connect_args(self._engine.url)
            opened = self._driver.connect(*arguments, **named)
            for pragma in _PRAGMAS:
                opened.sqlite.execute(f"PRAGMA {pragma}")
            self._connection = opened.sqlite
        return self._connection


class _AtOnce:
    """Something to await that is there already: SQLAlchemy insists on one for each statement."""

    def __await__(self) -> Generator[None, None, None]:
        return iter(())  # type: ignore[return-value]


_AT_ONCE = _AtOnce()


class _Connection(AsyncAdapt_dbapi_connection):
    """A connection of SQLAlchemy's; one task at a time uses it.

    Attributes:
        takes_long: The statements of the transaction that is open are executed in the driver's thread.
    """

    __slots__ = ("_writes", "sqlite", "takes_long")

    def __init__(self, driver: SqliteDriver, sqlite: sqlite3.Connection) -> None:
        super().__init__(driver, sqlite)  # type: ignore[arg-type]
        self.sqlite = sqlite
        self.takes_long = False
        self._writes = False

    def begin(self, *, writes: bool, takes_long: bool) -> None:
        """Begin a transaction.

        A writer takes the lock at once: one that upgrades later fails with SQLITE_BUSY without waiting.
        """
        self._writes, self.takes_long = writes, takes_long
        self.patiently(self.sqlite.execute, "BEGIN IMMEDIATE" if writes else "BEGIN")

    def patiently(self, call: Callable[..., T], *arguments: Any) -> T:
        """Return what a call does as soon as another process no longer keeps it from it."""
        until = time.monotonic() + self.dbapi.busy_seconds
        while True:
            try:
                return self._in_thread(call, *arguments) if self.takes_long else call(*arguments)
            except sqlite3.OperationalError as error:
                if not _is_passing(error) or time.monotonic() > until:
                    raise
            await_only(asyncio.sleep(_TRY_AGAIN_SECONDS))

    def cursor(self, server_side: bool = False) -> _Cursor:
        return _Cursor(self)

    def create_function(self, *arguments: Any, **named: Any) -> None:
        self.sqlite.create_function(*arguments, **named)

    def commit(self) -> None:
        if self._writes:
            self._writes = False
            self._in_thread(self.sqlite.commit)
        else:
            self.sqlite.commit()

    def rollback(self) -> None:
        self._writes = False
        self.sqlite.rollback()

    def close(self) -> None:
        self.sqlite.close()

    terminate = close

    def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        done: T = await_only(_settled(self.dbapi.threads.submit(partial(call, *arguments))))
        return done


class _Cursor(AsyncAdapt_dbapi_cursor):
    """A cursor that has fetched everything once a statement is executed."""

    __slots__ = ()
    _awaitable_cursor_close = False

    def __init__(self, connection: _Connection) -> None:
        self._adapt_connection = connection
        self._cursor: Any = connection.sqlite.cursor()
        self._soft_closed_memoized: Any = {}
        self._rows = deque()

    def execute(self, operation: Any, parameters: Any = None) -> None:
        await_only(_AT_ONCE)
        self._do(self._cursor.execute, operation, () if parameters is None else parameters)

    def executemany(self, operation: Any, seq_of_parameters: Any) -> None:
        await_only(_AT_ONCE)
        self._do(self._cursor.executemany, operation, seq_of_parameters)

    def _do(self, execute: Callable[..., Any], *arguments: Any) -> None:
        def do() -> list[Any]:
            execute(*arguments)
            return list(self._cursor.fetchall()) if self._cursor.description else []

        connection: Any = self._adapt_connection
        self._rows = deque(connection.patiently(do))


def _is_passing(error: sqlite3.OperationalError) -> bool:
    """Return whether another process blocks for a moment only; a transaction with an old snapshot can never write."""
    code = error.sqlite_errorcode
    return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT


async def _settled(running: Future[T]) -> T:
    """Return what the thread returns; a caller who is cancelled waits for it too, as the connection is in use."""
    try:
        return await asyncio.wrap_future(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([asyncio.wrap_future(running)])
        raise


def _set_pragmas(connection: Any, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.patiently(connection.sqlite.execute, f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.begin(writes=options.get(WRITES, False), takes_long=options.get(LONG, False))
    except sqlite3.OperationalError as error:
        refused = error
    else:
        return
    raise sa.exc.OperationalError("BEGIN", None, refused.with_traceback(None))
