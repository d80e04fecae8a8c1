"""Group commit on SQLite: the transactions of all who wait are committed together, and synced to the disk once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from app.database.sqlite import WRITES


@dataclass(slots=True, eq=False)
class _Group:
    """Transactions that are committed together; lives until then.

    Attributes:
        committed: Ends once they are; its result is what they were lost to.
        lost: What ended all of them before the commit.
    """

    connection: AsyncConnection
    transaction: AsyncTransaction
    sqlite: Any
    committed: asyncio.Task[Exception | None] = field(init=False)
    lost: Exception | None = None


class GroupCommit:
    """Gives writers their turns, first come, first served; lives as long as the database.

    Whoever writes first opens a group, and its commit takes its turn behind all who wait by then: they join. Each of
    them has a savepoint, so that one that fails undoes nothing of the others'. None goes on before the commit, and not
    with an error either: what it was refused for, such as a row that another one has just stored, can be read then.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._group: _Group | None = None

    @asynccontextmanager
    async def writing(self, check: Callable[[], None]) -> AsyncIterator[AsyncConnection]:
        """Yield a caller's transaction: committed at the end, rolled back on an error.

        Args:
            check: Called before a transaction is begun; what it raises ends the caller's alone.

        Raises:
            sqlalchemy.exc.OperationalError: The commit failed, and nothing is stored.
        """
        group: _Group | None = None
        try:
            async with self._turn:
                group = self._group or await self._open(check)
                with self._member(group):
                    yield group.connection
        except BaseException:
            if group is not None:
                await asyncio.wait([group.committed])
            raise
        if (lost := await asyncio.shield(group.committed)) is not None:
            raise sa.exc.OperationalError("COMMIT", None, lost)

    async def _open(self, check: Callable[[], None]) -> _Group:
        check()
        connection = await self._engine.connect()
        try:
            await connection.execution_options(**{WRITES: True})
            transaction = await connection.begin()
            sqlite = (await connection.get_raw_connection()).driver_connection
        except BaseException:
            await connection.close()
            raise
        group = self._group = _Group(connection, transaction, sqlite)
        # It knows nobody's request: it is as much that of the others.
        group.committed = asyncio.create_task(self._commit(group), context=Context())
        return group

    @contextmanager
    def _member(self, group: _Group) -> Iterator[None]:
        group.sqlite.execute("SAVEPOINT member")
        try:
            yield
        except BaseException as error:
            if group.sqlite.in_transaction:
                group.sqlite.execute("ROLLBACK TO member")
            else:  # SQLite ended it whole, as when the disk is full
                group.lost, self._group = _cause(error), None
            raise
        finally:
            if group.sqlite.in_transaction:
                group.sqlite.execute("RELEASE member")

    async def _commit(self, group: _Group) -> Exception | None:
        async with self._turn:
            if self._group is group:
                self._group = None
            try:
                if group.lost is None:
                    await group.transaction.commit()
            except sa.exc.SQLAlchemyError as error:
                group.lost = _cause(error)
            finally:
                await group.connection.close()
        return group.lost


def _cause(error: BaseException) -> Exception:
    """Return what the driver said, without the frames and the parameters of whoever it said it to."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, Exception) else error
    if not isinstance(cause, sqlite3.Error):
        return ConnectionError("the transaction was ended")
    bare = type(cause)(*cause.args)
    bare.sqlite_errorcode = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return bare
