"""Prepared statements and transactions that go straight to asyncpg behave like SQLAlchemy's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.database import Database, take_turns
from app.database.prepared import Prepared
from app.database.tables import key_checks
from tests.fakes.databases import PostgresServer

_PUT = Prepared(key_checks.insert(), [column.name for column in key_checks.columns])
_COUNT = Prepared(sa.select(sa.func.count().label("how_many")).select_from(key_checks))
_PID = Prepared(sa.select(sa.func.pg_backend_pid().label("pid")))
_NO_SUCH_TABLE = Prepared(sa.select(sa.table("no_such_table", sa.column("id"))))


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """Yield a PostgreSQL database with the schema."""
    async with AsyncExitStack() as stack:
        url = await (await stack.enter_async_context(postgres.databases())).migrated("straight")
        database = Database(url)
        stack.push_async_callback(database.close)
        await database.open()
        yield database


def _row(name: str) -> dict[str, Any]:
    return {column.name: name for column in key_checks.columns}


async def _count(database: Database) -> int:
    row = (await database.fetch(_COUNT, {})).one_or_none()
    assert row is not None
    return int(row.how_many)


async def test_a_refused_row_undoes_its_transaction(database: Database) -> None:
    """A refused row raises SQLAlchemy's error and rolls back its transaction, and the next one works."""
    await database.change(_PUT, _row("one"))

    async def write() -> None:
        async with database.writing() as connection:
            await _PUT.execute(connection, _row("two"))
            await _PUT.execute(connection, _row("one"))

    with pytest.raises(sa.exc.IntegrityError) as refused:
        await write()

    assert not refused.value.connection_invalidated
    assert await _count(database) == 1
    await database.change(_PUT, _row("two"))
    assert await _count(database) == 2


async def test_prepared_and_other_statements_share_a_transaction(database: Database) -> None:
    """Prepared and other statements of a transaction see each other's changes, and nobody else does before its end."""
    async with database.writing() as connection:
        await _PUT.execute(connection, _row("one"))
        inside = await connection.scalar(sa.select(sa.func.count()).select_from(key_checks))
        outside = await _count(database)

    assert (inside, outside, await _count(database)) == (1, 0, 1)


async def test_a_mistake_in_a_statement_is_a_programming_error(database: Database) -> None:
    """An invalid statement raises SQLAlchemy's ProgrammingError with the SQLSTATE."""
    with pytest.raises(sa.exc.ProgrammingError) as refused:
        await database.fetch(_NO_SUCH_TABLE, {})

    assert getattr(refused.value.orig, "sqlstate", None) == "42P01"


async def test_what_is_cancelled_is_undone(database: Database) -> None:
    """A caller that is cancelled within a transaction leaves neither a row nor a lock."""
    begun = asyncio.Event()

    async def write() -> None:
        async with database.writing(turn=("a", "key")) as connection:
            await _PUT.execute(connection, _row("one"))
            begun.set()
            await connection.execute(sa.select(sa.func.pg_sleep(60)))

    writing = asyncio.create_task(write())
    await begun.wait()
    writing.cancel()
    await asyncio.wait([writing])

    assert writing.cancelled()
    async with asyncio.timeout(30), database.writing(turn=("a", "key")) as connection:
        await _PUT.execute(connection, _row("one"))
    assert await _count(database) == 1


async def test_connections_that_were_ended_are_replaced(database: Database) -> None:
    """If the server ends all connections, at most one statement fails, and new connections are opened."""
    await asyncio.gather(*(_count(database) for _ in range(3)))
    first = (await database.fetch(_PID, {})).one_or_none()
    async with database.reading() as connection:
        others = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        await connection.execute(sa.text(f"{others} AND datname = current_database()"))
    with suppress(sa.exc.DBAPIError):
        await _count(database)
    async with database.writing() as connection:
        await _PUT.execute(connection, _row("one"))
    second = (await database.fetch(_PID, {})).one_or_none()

    assert first is not None
    assert second is not None
    assert first.pid != second.pid


async def test_turns_are_taken_across_both_ways(database: Database) -> None:
    """A lock taken at the beginning of a transaction is the one that `take_turns` waits for."""
    order = []
    held, asked = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.writing(turn=("a", "key")):
            held.set()
            await asked.wait()
            order.append("first")

    async def wait() -> None:
        await held.wait()
        async with database.writing() as connection:
            asked.set()
            await take_turns(connection, "a", "key")
            order.append("second")

    await asyncio.gather(hold(), wait())

    assert order == ["first", "second"]
