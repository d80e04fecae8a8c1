"""Tests of opening, migrating and closing the database, and of its two kinds of transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.database.database import Database
from app.database.migrate import config
from app.database.revision import newest
from app.database.tables import (
    api_tokens,
    messages,
    metadata,
    moved_chats,
    owned_by,
    owner,
    parked_runs,
    principal_of,
    replicas,
)
from app.errors import SettingsError
from app.principal import Principal
from tests.fakes.core_server import until
from tests.fakes.databases import Databases, PostgresServer
from tests.fakes.leaks import everything_in

CANARY = "CANARY-7f3a"


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """Yield a migrated SQLite database, for tests of what only SQLite does."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}")
    try:
        await database.open()
        yield database
    finally:
        await database.close()


def token_of(principal: Principal, *, name: str) -> sa.Insert:
    """Return an insert of a row that belongs to this person."""
    return api_tokens.insert().values(
        id=name, token_hash=name, **owner(principal), label="x", sealed_verifier="", created_at=0.0
    )


async def ids(database: Database) -> list[str]:
    """Return the ids of the stored rows."""
    async with database.reading() as connection:
        return list(await connection.scalars(sa.select(api_tokens.c.id).order_by(api_tokens.c.id)))


async def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    """A migrated database differs in nothing from what tables.py declares."""

    def differences(connection: sa.Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        scripts = await connection.run_sync(lambda connection: ScriptDirectory.from_config(config(connection)))
    assert scripts.get_heads() == [newest()]
    assert await database.revisions() == (newest(), newest())


async def test_opening_again_keeps_what_is_there(database: Database, databases: Databases, ada: Principal) -> None:
    """A second start migrates nothing and loses nothing."""
    async with database.writing() as connection:
        await connection.execute(token_of(ada, name="a"))
    again = Database(await databases.empty("deputy"))
    await again.open()

    assert await ids(again) == ["a"]
    await again.close()


async def test_opening_waits_for_whoever_writes(tmp_path: Path) -> None:
    """Opening a file that is not yet in SQLite's WAL mode waits until another process has finished writing to it."""
    path = tmp_path / "deputy.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("CREATE TABLE somebody_elses (id INTEGER)")
    database = Database(f"sqlite+aiosqlite:///{path}")
    opening = asyncio.create_task(database.open())
    await asyncio.sleep(0.1)
    writer.execute("COMMIT")
    await opening
    writer.close()

    async with database.reading() as connection:
        assert await connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
    await database.close()


async def test_two_objects_that_open_at_once_take_turns(databases: Databases) -> None:
    """Four simultaneous opens of an empty database all succeed."""
    url = await databases.empty("deputy")
    opened = [Database(url) for _ in range(4)]
    try:
        await asyncio.gather(*(database.open() for database in opened))

        assert {await database.revisions() for database in opened} == {await opened[0].revisions()}
    finally:
        await asyncio.gather(*(database.close() for database in opened))


@pytest.mark.system
async def test_processes_that_start_together_all_open(databases: Databases) -> None:
    """Processes that migrate the same empty database at the same moment take turns."""
    script = (
        "import asyncio, sys\nfrom app.database.database import Database\nfrom app.database import migrate\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    print('ready', flush=True); sys.stdin.read()\n"
        "    await database.open(); print(await database.revisions()); await database.close()\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", script, await databases.empty("deputy")]
    pipe = asyncio.subprocess.PIPE
    processes = await asyncio.gather(
        *(asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(3))
    )
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*(process.communicate(b"") for process in processes))

    assert [errors for _, errors in outcomes] == [b""] * 3
    assert len({revisions for revisions, _ in outcomes}) == 1


async def waits_for_a_lock(database: Database) -> bool:
    """Return whether a connection to this PostgreSQL database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.reading() as connection:
        return bool(await connection.scalar(sa.text(waiting)))


@pytest.mark.parametrize("in_a_statement", [False, True])
async def test_whoever_stands_still_in_a_transaction_holds_nobody_up(
    postgres: PostgresServer, ada: Principal, in_a_statement: bool
) -> None:
    """A transaction that is stuck is ended: another one gets the row, and the first one's write is rolled back.

    This holds even if asyncpg has sent only the first half of a statement.
    """
    async with postgres.databases() as databases:
        still, other = [Database(url) for url in [await databases.migrated("deputy")] * 2]
        async with other.writing() as connection:
            await connection.execute(token_of(ada, name="a"))
        rename = api_tokens.update().values(label="by whoever stood still")

        async def take_over() -> None:
            async with other.writing() as connection:
                await connection.execute(rename.values(label="by another"))

        async def stand_still() -> None:
            async with still.writing() as connection:
                await connection.execute(rename)
                if in_a_statement:
                    driver = (await connection.get_raw_connection()).driver_connection
                    assert driver is not None
                    await driver.prepare("SELECT $1::text")
                taking = asyncio.create_task(take_over())
                await until(lambda: waits_for_a_lock(other))
                await asyncio.sleep(0.2)
                assert not taking.done()
                assert await other.end_stuck(10) == 0
                assert await other.end_stuck(0.1) == 1
                await asyncio.wait_for(taking, timeout=30)

        with pytest.raises(sa.exc.DBAPIError):
            await stand_still()

        async with still.reading() as connection:
            assert await connection.scalar(sa.select(api_tokens.c.label)) == "by another"
        await asyncio.gather(still.close(), other.close())


async def test_connections_that_were_lost_are_nobodys_error(
    postgres: PostgresServer, ada: Principal, grace: Principal
) -> None:
    """Idle connections that the server has ended are replaced when two people use them next."""
    async with postgres.databases() as databases:
        database, other = [Database(url) for url in [await databases.migrated("deputy")] * 2]
        async with AsyncExitStack() as stack:
            held = [await stack.enter_async_context(database.reading()) for _ in range(2)]
            drivers = [(await connection.get_raw_connection()).driver_connection for connection in held]
        async with other.reading() as connection:
            for driver in drivers:
                assert driver is not None
                await connection.execute(sa.select(sa.func.pg_terminate_backend(driver.get_server_pid())))
        await until(lambda: all(driver is not None and driver.is_closed() for driver in drivers))

        async def write(person: Principal) -> None:
            async with database.writing() as connection:
                await connection.execute(token_of(person, name=person.user))

        await asyncio.gather(write(ada), write(grace))

        assert await ids(database) == [ada.user, grace.user]
        await asyncio.gather(database.close(), other.close())


async def test_a_transaction_that_fails_leaves_nothing(database: Database, ada: Principal, grace: Principal) -> None:
    """An error rolls back what was written before it, and the next writer succeeds."""

    async def fail() -> None:
        async with database.writing() as connection:
            await connection.execute(token_of(ada, name="a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.writing() as connection:
        await connection.execute(token_of(grace, name="g"))

    assert await ids(database) == ["g"]


async def test_a_cancelled_writer_leaves_nothing_and_blocks_nobody(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """A cancelled transaction is rolled back, whether it was writing or waiting for its turn."""
    inside = asyncio.Event()

    async def write() -> None:
        async with database.writing() as connection:
            await connection.execute(token_of(ada, name="a"))
            inside.set()
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(write()) for _ in range(2)]
    await inside.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    async with asyncio.timeout(30), database.writing() as connection:
        await connection.execute(token_of(grace, name="g"))

    assert await ids(database) == ["g"]


async def test_readers_do_not_wait_for_a_writer(database: Database, ada: Principal) -> None:
    """While a transaction writes, others read what was committed before."""
    async with database.writing() as connection:
        await connection.execute(token_of(ada, name="a"))
        async with asyncio.timeout(30):
            seen = await asyncio.gather(*(ids(database) for _ in range(3)))

    assert seen == [[], [], []]
    assert await ids(database) == ["a"]


async def test_a_reader_sees_one_moment(sqlite: Database, ada: Principal) -> None:
    """A commit during a reading transaction is not visible in it, so that its results are consistent."""
    async with sqlite.reading() as reader:
        before = list(await reader.scalars(sa.select(api_tokens.c.id)))
        async with sqlite.writing() as writer:
            await writer.execute(token_of(ada, name="a"))
        after = list(await reader.scalars(sa.select(api_tokens.c.id)))

    assert before == after == []
    assert await ids(sqlite) == ["a"]


async def test_writers_take_turns(sqlite: Database) -> None:
    """Thirty simultaneous read-and-write transactions lose no update, and none fails with "database is locked"."""
    principal = Principal("http", "demo", "counter")
    count = sa.select(sa.func.count()).select_from(api_tokens)

    async def add() -> None:
        async with sqlite.writing() as connection:
            number = await connection.scalar(count)
            await asyncio.sleep(0)
            await connection.execute(token_of(principal, name=f"{number:02}"))

    await asyncio.gather(*(add() for _ in range(30)))

    assert await ids(sqlite) == [f"{number:02}" for number in range(30)]


async def test_a_row_belongs_to_one_principal(database: Database, ada: Principal, grace: Principal) -> None:
    """A row's owner is all three parts: the same user id on another platform or in another tenant is another person."""
    people = [ada, grace, Principal("slack", ada.tenant, ada.user), Principal(ada.platform, "acme", ada.user)]
    async with database.writing() as connection:
        for number, person in enumerate(people):
            await connection.execute(token_of(person, name=str(number)))

    async with database.reading() as connection:
        for number, person in enumerate(people):
            row = (await connection.execute(sa.select(api_tokens).where(owned_by(api_tokens, person)))).one()

            assert (row.id, principal_of(row)) == (str(number), person)


async def test_every_table_of_a_persons_is_keyed_by_all_three_parts() -> None:
    """A table has all parts of a principal or none, and no part may be null or have a default."""
    for table in metadata.tables.values():
        if table in (replicas, moved_chats):
            continue  # they belong to processes and groups, not to people
        parts = [table.c[name] for name in ("platform", "tenant", "user_id") if name in table.c]

        assert len(parts) in (0, 3), table.name
        assert not any(part.nullable or part.default or part.server_default for part in parts), table.name


async def test_a_message_takes_what_hangs_on_it_along(database: Database, ada: Principal) -> None:
    """A row that refers to no message is refused, and the foreign key deletes parked runs with their message."""
    orphan = parked_runs.insert().values(message_id="none", **owner(ada), waits_for="consent", run="{}", expires_at=0.0)

    with pytest.raises(sa.exc.IntegrityError):
        async with database.writing() as connection:
            await connection.execute(orphan)
    assert {key.ondelete for key in parked_runs.foreign_keys} == {"CASCADE"}
    assert {key.column.table for key in parked_runs.foreign_keys} == {messages}


async def test_sqlite_survives_a_power_cut_and_a_busy_neighbour(sqlite: Database) -> None:
    """Every SQLite connection uses a write-ahead log, syncs at each commit, and checks foreign keys."""
    pragmas = ("journal_mode", "synchronous", "foreign_keys")
    async with sqlite.reading() as one, sqlite.reading() as other, sqlite.writing() as writer:
        for connection in (one, other, writer):
            values = [(await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() for pragma in pragmas]

            assert values == ["wal", 2, 1]  # 2 is FULL


async def test_the_folder_is_made_and_may_have_any_name(tmp_path: Path) -> None:
    """Opening creates the folder, even one with a percent sign in its name."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a 100% new' / 'folder' / 'deputy.db'}")
    await database.open()
    await database.close()

    assert (tmp_path / "a 100% new" / "folder" / "deputy.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "",
        CANARY,
        f"sqlite:///{CANARY}",
        f"nosuch://u:{CANARY}@h/d",
        f"postgresql+psycopg2://u:{CANARY}@h/d",
        f"mysql+aiomysql://u:{CANARY}@h/d",
        f"sqlite+aiosqlite://u@h:{CANARY}/d",
        f"sqlite+aiosqlite:///d?timeout={CANARY}",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_unseen(url: str) -> None:
    """An unknown or synchronous driver, nonsense, and an in-memory database are refused without showing the URL."""
    with pytest.raises(SettingsError, match=r"^database\.url: ") as caught:
        Database(url)
    assert CANARY not in everything_in(caught.value)


def test_a_database_shows_no_password() -> None:
    """The repr shows neither a password in the address nor one in its parameters."""
    database = Database(f"postgresql+asyncpg://deputy:{CANARY}@db/deputy?password={CANARY}")

    assert repr(database) == "Database(postgresql+asyncpg at db)"


async def test_a_database_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    """A file that is no database, a folder that is a file and a server that is away are reported with the cause."""
    (tmp_path / "file").write_text("not a database, but long enough to be taken for one" * 100)
    urls = [
        f"sqlite+aiosqlite:///{tmp_path / 'file'}",
        f"sqlite+aiosqlite:///{tmp_path / 'file' / 'deputy.db'}",
        f"postgresql+asyncpg://deputy:{CANARY}@127.0.0.1:1/deputy",
    ]

    for url in urls:
        database = Database(url)
        with pytest.raises(SettingsError, match=r"^database\.url: .* at .* cannot be used: [a-zN]") as caught:
            await database.open()
        assert CANARY not in str(caught.value)
        await database.close()


async def test_a_database_of_a_newer_version_is_left_alone(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """A schema that this version does not know is refused and left unchanged, and the error names both revisions."""
    async with database.writing() as connection:
        for person in (ada, grace):
            await connection.execute(token_of(person, name=person.user))
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SettingsError, match=f"at revision 9999, which this version does not know; it needs {newest()}"):
        await database.open()
    assert (await database.revisions())[0] == "9999"
    assert await ids(database) == [ada.user, grace.user]
