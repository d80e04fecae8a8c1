"""Transactions on asyncpg's own connections, by which a prepared statement is spared most of SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")


async def run(connection: AsyncConnection, text: str, values: Sequence[object]) -> tuple[Any, int, Sequence[Any]]:
    """Execute a statement in the connection's transaction, which it begins if that is still to be done.

    Returns:
        asyncpg's records, how many rows were changed or found, and for each column the OID of its type.

    Raises:
        sqlalchemy.exc.DBAPIError: As SQLAlchemy would raise it, with the same consequences for the connection.
    """
    of_sqlalchemy = _of_sqlalchemy(connection)
    dialect: Any = of_sqlalchemy.dialect
    for listener in of_sqlalchemy.engine.dispatch.before_cursor_execute:
        listener(None, None, text, values, None, False)

    async def execute(adapted: Any) -> tuple[Any, int, Sequence[Any]]:
        if adapted._transaction is None:
            await adapted._start_transaction()  # does nothing on a connection whose statements commit themselves
        statement, attributes = await adapted._prepare(text, dialect._invalidate_schema_cache_asof)
        found = await statement.fetch(*values)
        count = (statement.get_statusmsg() or "").rpartition(" ")[2]
        types = [attribute.type.oid for attribute in attributes or ()]
        return found, int(count) if count.isdecimal() else -1, types

    return await _do(of_sqlalchemy, execute, text)


async def _do(connection: sa.Connection, what: Callable[[Any], Awaitable[T]], text: str) -> T:
    """Do something on a connection of asyncpg's; an error is SQLAlchemy's to raise, which drops lost connections."""
    adapted: Any = connection.connection.dbapi_connection
    try:
        async with adapted._execute_mutex:
            try:
                return await what(adapted)
            except Exception as error:
                adapted._handle_exception(error)
                raise
    except BaseException as error:
        failed = error
    try:
        await greenlet_spawn(_fail, connection, failed, text)
    finally:
        del failed  # its traceback holds this frame: avoid the cycle
    raise AssertionError  # not reached


def _fail(connection: sa.Connection, error: BaseException, text: str) -> None:
    dbapi: Any = connection.dialect.loaded_dbapi
    try:
        raise error
    except BaseException as raised:
        statement = text if isinstance(raised, dbapi.Error) else None
        connection._handle_dbapi_exception(raised, statement, None, None, None)
    finally:
        del error


def _of_sqlalchemy(connection: AsyncConnection) -> sa.Connection:
    found = connection.sync_connection
    assert found is not None
    return found


class StraightConnections:
    """Connections of an engine's pool that are kept out of it; lives as long as the engine.

    To take one from the pool and to begin, commit and give it back costs more than most transactions. After a statement
    fails, its connection goes back to the pool, which replaces a lost one; and all go back if any of the engine's was
    lost.

    Args:
        engine: On asyncpg.
        at_most: How many are kept.
        patience_seconds: How long a caller waits for one.
    """

    def __init__(self, engine: AsyncEngine, *, at_most: int, patience_seconds: float) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._patience_seconds = patience_seconds
        self._idle: list[AsyncConnection] = []
        self._room = asyncio.Semaphore(at_most)
        self._any_lost = False
        sa.event.listen(engine.sync_engine, "handle_error", self._note)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose statements commit themselves.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: None can be had.
        """
        await self._wait()
        try:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                await connection.close()
                raise
            if _of_sqlalchemy(connection).in_transaction():  # SQLAlchemy's own, of which the database knows nothing
                await connection.commit()
            self._idle.append(connection)
        finally:
            self._room.release()

    @asynccontextmanager
    async def transaction(self, first: str = "") -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction: committed at the end, rolled back on an error.

        Args:
            first: A statement without parameters that begins it, sent in the same round trip.
        """
        async with self.one() as connection:
            of_sqlalchemy = _of_sqlalchemy(connection)
            for listener in of_sqlalchemy.engine.dispatch.begin:
                listener(of_sqlalchemy)
            await _do(of_sqlalchemy, _sending(f"BEGIN;{first}"), "BEGIN")
            try:
                yield connection
            except BaseException:
                if not (connection.invalidated or connection.closed):
                    await _do(of_sqlalchemy, _sending("ROLLBACK"), "ROLLBACK")
                raise
            await _do(of_sqlalchemy, _sending("COMMIT"), "COMMIT")

    async def close(self) -> None:
        """Give the connections back to the pool; a later statement takes others."""
        idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(sa.exc.SQLAlchemyError):
                await connection.close()

    async def _wait(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._room.acquire()
        except TimeoutError:
            raise sa.exc.TimeoutError("all connections are in use") from None

    async def _take(self) -> AsyncConnection:
        if self._any_lost:
            self._any_lost = False
            await self.close()
        while self._idle:
            connection = self._idle.pop()
            if not _of_sqlalchemy(connection).connection.driver_connection.is_closed():  # type: ignore[union-attr]
                return connection
            await connection.invalidate()
            await connection.close()
        return await self._engine.connect()

    def _note(self, context: sa.engine.ExceptionContext) -> None:
        """Remember that a connection was lost or did not answer, because the others may be lost as well."""
        if context.is_disconnect or isinstance(context.original_exception, TimeoutError):
            self._any_lost = True


def _sending(text: str) -> Callable[[Any], Awaitable[object]]:
    return lambda adapted: adapted._connection.execute(text)
