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
        ended: Set once they are committed, or lost.
        lost: What all of them were lost to; None until then.
    """

    connection: AsyncConnection
    transaction: AsyncTransaction
    sqlite: Any
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    lost: Exception | None = None


class _Turn:
    """A lock that wakes everybody who waits when it is released, in order; lives as long as the database.

    Most writers hold it for a few statements and never wait meanwhile, so all of them have their turns in one round of
    the event loop. An `asyncio.Lock` wakes one a round, and each round may hold a step of every run.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> None:
        while self._taken:
            released = asyncio.get_running_loop().create_future()
            self._waiting.append(released)
            await released
        self._taken = True

    async def __aexit__(self, *_: object) -> None:
        self._taken = False
        waiting, self._waiting = self._waiting, []
        for released in waiting:
            if not released.done():  # it was not cancelled
                released.set_result(None)


class GroupCommit:
    """Gives writers their turns, about in the order in which they come; lives as long as the database.

    Whoever writes first opens a group, and its commit takes its turn behind all who wait by then: they join. Each of
    them has a savepoint, so that one that fails undoes nothing of the others'. None goes on before the commit, and not
    with an error either: what it was refused for, such as a row that another one has just stored, can be read then.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = _Turn()
        self._group: _Group | None = None
        self._commits: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until everything is committed, even for writers that were cancelled meanwhile."""
        if self._commits:
            await asyncio.wait(self._commits)

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
                await group.ended.wait()
            raise
        await group.ended.wait()
        if group.lost is not None:
            raise sa.exc.OperationalError("COMMIT", None, group.lost)

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
        commit = asyncio.create_task(self._commit(group), context=Context())
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
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

    async def _commit(self, group: _Group) -> None:
        try:
            async with self._turn:
                if self._group is group:
                    self._group = None
                try:
                    if group.lost is None:
                        await group.transaction.commit()
                finally:
                    await group.connection.close()
        except BaseException as error:
            group.lost = _cause(error)
            if not isinstance(error, sa.exc.SQLAlchemyError):
                raise  # this task is cancelled
        finally:
            group.ended.set()


def _cause(error: BaseException) -> Exception:
    """Return what the driver said, without the frames and the parameters of whoever it said it to."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, Exception) else error
    if not isinstance(cause, sqlite3.Error):
        return ConnectionError("the transaction was ended")
    bare = type(cause)(*cause.args)
    bare.sqlite_errorcode = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return bare
