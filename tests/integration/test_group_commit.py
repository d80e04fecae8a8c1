"""Group commit on SQLite: waiting writers are committed together, and each succeeds or fails on its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import api_tokens
from app.principal import Principal
from tests.fakes.databases import SqliteDatabases
from tests.integration.test_database import ids, token_of

PATIENCE_SECONDS = 120.0


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """Yield a database on a migrated file."""
    database = Database(await SqliteDatabases(tmp_path).migrated("deputy"))
    yield database
    await database.close()


@pytest.fixture
def commits(sqlite: Database) -> list[sa.Connection]:
    """Return the list of commits that SQLAlchemy makes from now on."""
    seen: list[sa.Connection] = []
    sa.event.listen(sqlite._engine.sync_engine, "commit", seen.append)
    return seen


async def _write(database: Database, person: Principal, name: str) -> None:
    async with database.writing() as connection:
        await connection.execute(token_of(person, name=name))


async def test_those_who_wait_are_committed_together(
    sqlite: Database, commits: list[sa.Connection], ada: Principal, grace: Principal
) -> None:
    """Twenty simultaneous writers need at most two commits, and each one's row is stored when it continues."""
    path = str(sqlite.url.database)

    async def write(person: Principal, name: str) -> bool:
        await _write(sqlite, person, name)
        with sqlite3.connect(path) as other:
            return (name,) in other.execute("SELECT id FROM api_tokens").fetchall()

    stored = await asyncio.gather(*(write((ada, grace)[n % 2], f"{n:02}") for n in range(20)))

    assert all(stored)
    assert 1 <= len(commits) <= 2


async def test_those_who_wait_have_their_turns_in_one_round_of_the_loop(sqlite: Database) -> None:
    """All waiting writers get their turns in the same round of the event loop."""
    rounds, taken = 0, list[int]()
    held, go_on = asyncio.Event(), asyncio.Event()

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def hold() -> None:
        async with sqlite.writing():
            held.set()
            await go_on.wait()

    async def write() -> None:
        async with sqlite.writing():
            taken.append(rounds)

    async with asyncio.TaskGroup() as tasks:
        counting = asyncio.create_task(count())
        tasks.create_task(hold())
        await held.wait()
        writing = [tasks.create_task(write()) for _ in range(20)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait(writing)
        counting.cancel()

    assert taken == [taken[0]] * 20


async def test_one_that_fails_undoes_nothing_of_the_others(
    sqlite: Database, commits: list[sa.Connection], ada: Principal, grace: Principal
) -> None:
    """A writer that fails loses only its own rows; the others in the same commit are stored."""

    async def fail() -> None:
        async with sqlite.writing() as connection:
            await connection.execute(token_of(ada, name="half"))
            raise ValueError("no")

    results = await asyncio.gather(
        *(_write(sqlite, ada, "a"), fail(), _write(sqlite, grace, "b")), return_exceptions=True
    )

    assert [type(result) for result in results] == [type(None), ValueError, type(None)]
    assert await ids(sqlite) == ["a", "b"]
    assert len(commits) <= 2


async def test_what_one_is_refused_for_can_be_read(sqlite: Database, ada: Principal, grace: Principal) -> None:
    """A writer that is refused because of another row can read that row, even if the same commit stores it."""

    async def add_or_read(person: Principal) -> list[str]:
        with suppress(sa.exc.IntegrityError):
            await _write(sqlite, person, "same")
        return await ids(sqlite)

    assert await asyncio.gather(*(add_or_read(person) for person in (ada, grace))) == [["same"], ["same"]]


async def test_who_is_cancelled_while_waiting_holds_up_nobody(
    sqlite: Database, ada: Principal, grace: Principal
) -> None:
    """Callers that are cancelled while they wait for their turn or the commit do not affect the others."""
    writing = [asyncio.create_task(_write(sqlite, (ada, grace)[n % 2], f"{n:02}")) for n in range(6)]
    for steps, task in enumerate(writing[:4]):
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(writing)
    await _write(sqlite, ada, "last")

    assert {"04", "05", "last"} <= set(await ids(sqlite))


def _slow_commit(begun: threading.Event, may_end: threading.Event) -> Callable[[Any], None]:
    """Return a commit that says when it has begun, and ends once it may."""

    def commit(connection: Any) -> None:
        def slowly() -> None:
            begun.set()
            assert may_end.wait(PATIENCE_SECONDS)
            connection.sqlite.commit()

        connection._in_thread(slowly)

    return commit


async def test_closing_waits_for_the_commit_of_cancelled_writers(
    sqlite: Database, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If both writers of a commit are cancelled meanwhile, the database is closed only once they are committed."""
    begun, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr("app.database.sqlite._Connection.commit", _slow_commit(begun, may_end))
    writing = [asyncio.create_task(_write(sqlite, person, name)) for person, name in ((ada, "a"), (grace, "b"))]
    await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
    for task in writing:
        task.cancel()
    await asyncio.wait(writing)
    closing = asyncio.create_task(sqlite.close())
    for _ in range(10):
        await asyncio.sleep(0)
    closed_early = closing.done()
    may_end.set()
    await closing

    assert all(task.cancelled() for task in writing)
    assert not closed_early
    with sqlite3.connect(str(sqlite.url.database)) as other:
        assert other.execute("SELECT id FROM api_tokens ORDER BY id").fetchall() == [("a",), ("b",)]


async def test_a_commit_that_hangs_leaves_no_connection_open(
    sqlite: Database, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a commit takes longer than closing may, the pool is closed all the same."""
    begun, may_end, disposed = threading.Event(), threading.Event(), list[sa.Engine]()
    monkeypatch.setattr("app.database.sqlite._Connection.commit", _slow_commit(begun, may_end))
    monkeypatch.setattr("app.database.database._CLOSE_SECONDS", 0.01)
    sa.event.listen(sqlite._engine.sync_engine, "engine_disposed", disposed.append)
    writing = asyncio.create_task(_write(sqlite, ada, "a"))
    await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
    await sqlite.close()
    was_disposed = len(disposed)
    may_end.set()
    await writing

    assert was_disposed == 1


async def test_a_commit_that_fails_fails_everybody_in_it(
    sqlite: Database, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the commit fails, every writer in it gets the error, and later writers succeed."""
    full = sqlite3.OperationalError("database or disk is full")

    def refuse(connection: Any) -> None:
        connection.rollback()
        raise full

    with monkeypatch.context() as patch:
        patch.setattr("app.database.sqlite._Connection.commit", refuse)
        results = await asyncio.gather(
            *(_write(sqlite, person, name) for person, name in ((ada, "a"), (grace, "b"))), return_exceptions=True
        )
    await _write(sqlite, ada, "c")

    assert [type(result) for result in results] == [sa.exc.OperationalError] * 2
    assert "disk is full" in str(results[0])
    assert results[0] is not results[1]
    assert await ids(sqlite) == ["c"]


async def test_a_transaction_that_sqlite_ends_is_everybodys_loss(
    sqlite: Database, ada: Principal, grace: Principal
) -> None:
    """If SQLite rolls back the whole transaction, as on a full disk, no writer in it is reported a success."""

    async def end_all() -> None:
        async with sqlite.writing() as connection:
            await connection.exec_driver_sql("INSERT OR ROLLBACK INTO key_checks VALUES ('k', 'a'), ('k', 'b')")

    results = await asyncio.gather(
        *(_write(sqlite, ada, "a"), end_all(), _write(sqlite, grace, "b")), return_exceptions=True
    )

    stored = await ids(sqlite)
    assert isinstance(results[0], sa.exc.OperationalError)
    assert isinstance(results[1], sa.exc.IntegrityError)
    assert ("a" in stored, "b" in stored) == (False, results[2] is None)


async def test_a_neighbour_that_writes_is_waited_for(sqlite: Database, ada: Principal) -> None:
    """While another process writes to the file, the event loop and readers continue and the writer waits."""
    other = sqlite3.connect(str(sqlite.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(_write(sqlite, ada, "a"))
    for _ in range(3):  # the loop runs, and readers can read
        async with sqlite.reading() as connection:
            assert await connection.scalar(sa.select(sa.func.count()).select_from(api_tokens)) == 0
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    other.close()

    assert await ids(sqlite) == ["a"]
