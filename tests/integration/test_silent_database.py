"""A PostgreSQL that stops answering: nobody waits for it indefinitely, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest
import sqlalchemy as sa

from app.database import migration_lock, postgresql
from app.database.database import Database
from app.database.tables import replicas
from app.delivery.engines import queue_connections
from app.errors import SettingsError
from app.sections.delivery import DeliverySettings
from tests.fakes.databases import PostgresServer
from tests.fakes.environment import open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, direct, eventually, user
from tests.fakes.silenced_postgres import SilencedPostgres, open_silenced_postgres

LIMIT_SECONDS = 1.0
HANGING_SECONDS = 60.0  # a request that takes longer is hanging


@pytest.fixture
async def way(postgres: PostgresServer) -> AsyncIterator[SilencedPostgres]:
    """Yield a proxied PostgreSQL that a test can silence."""
    async with postgres.databases() as databases, open_silenced_postgres(databases, postgres.url) as way:
        yield way


@dataclass
class Limits:
    """The time limits of connections to PostgreSQL: the usual ones, or short ones while `short` is set.

    A start or a reply may take any time on a busy machine; only the silence has to be noticed soon.
    """

    short: bool = False

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Apply the limits to all connections opened from now on."""
        connect, usual = postgresql._connect, postgresql.ANSWER_SECONDS

        async def limited(*arguments: Any, **named: Any) -> Any:
            limits = {"timeout": LIMIT_SECONDS, "command_timeout": LIMIT_SECONDS} if self.short else {}
            return await connect(*arguments, **named | limits)

        async def wait(connection: Any, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            patch.setattr(queue_connections, "ANSWER_SECONDS", LIMIT_SECONDS if self.short else usual)
            return await waiting(connection, gen, interval, timeout)

        waiting = queue_connections.QueueConnection.wait
        patch.setattr(postgresql, "_connect", limited)
        patch.setattr(queue_connections.QueueConnection, "wait", wait)

    async def shorten(self, database: Database) -> None:
        """Reconnect, so that the pool has a connection with the short limits."""
        self.short = True
        await database._engine.dispose()
        while not await _answers(database):
            pass


@pytest.mark.parametrize("engine", ["embedded", "procrastinate"])
async def test_what_was_accepted_is_answered_once_the_database_is_back(
    way: SilencedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Literal["embedded", "procrastinate"]
) -> None:
    """While the database is silent, a webhook is refused in time; once it is back, accepted messages are answered."""
    model, limits = ScriptedModel(), Limits()
    limits.install(monkeypatch)
    delivery = DeliverySettings(engine=engine, scan_seconds=0.2, lease_seconds=4, backoff_seconds=0.2, grace_seconds=1)
    async with (
        open_environment(tmp_path, way, delivery=delivery) as environment,
        environment.in_process(model.install) as server,
    ):
        await _say(server, "ada", "wait one")
        await eventually(lambda: model.begun)
        await limits.shorten(server.container.database())
        way.fall_silent()
        opened = way.opened
        model.gate.set()
        async with asyncio.timeout(HANGING_SECONDS):
            refused = await _say(server, "grace", "repeat two")
        await eventually(lambda: way.opened >= opened + 3)  # the worker has tried too
        limits.short = False
        way.speak()
        taken = await _say(server, "grace", "repeat two")
        told = [[post.text for post in await server.posts(direct(name), 1)] for name in ("ada", "grace")]

    assert (refused, taken) == (503, 200)
    assert told == [["waited one"], ["two"]]


async def _answers(database: Database) -> bool:
    try:
        await database.ping()
    except (sa.exc.SQLAlchemyError, OSError):
        return False
    return True


async def _say(server: Server, name: str, text: str) -> int:
    event = server.slack.event(user=user(name), text=text, channel=direct(name), event_id=f"Ev{name}")
    return (await server.deliver(event)).status_code


def be_impatient(patch: pytest.MonkeyPatch, stuck_seconds: float) -> None:
    """End sessions that are idle for this long, until somebody holds the lock, who may then take any time."""
    usual, take = migration_lock._STUCK_SECONDS, migration_lock._take

    async def taken(*arguments: Any) -> None:
        await take(*arguments)
        patch.setattr(migration_lock, "_STUCK_SECONDS", usual)

    patch.setattr(migration_lock, "_STUCK_SECONDS", stuck_seconds)
    patch.setattr(migration_lock, "_LOOK_SECONDS", 0.1)
    patch.setattr(migration_lock, "_take", taken)


@pytest.mark.parametrize(("application", "refused"), [("deputy", False), ("psql", True)])
async def test_a_start_waits_for_nobody_who_is_gone(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, application: str, refused: bool
) -> None:
    """A start ends a Deputy session that is stuck with the migration lock; another program's is named in the error."""
    be_impatient(monkeypatch, 0.3)
    async with postgres.databases() as databases:
        database = Database(await databases.empty("deputy"))
        gone = await _migrator(database, application)
        try:
            async with asyncio.timeout(HANGING_SECONDS):
                if refused:
                    pid = gone.get_server_pid()
                    with pytest.raises(SettingsError, match=rf"pg_terminate_backend\({pid}\)"):
                        await database.open()
                else:
                    await database.open()
                    present, needed = await database.revisions()

                    assert present == needed is not None
        finally:
            gone.terminate()
            await database.close()


async def test_a_start_ends_what_a_process_that_is_gone_holds(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start also ends a stuck Deputy session that holds other locks, if no other process is registered."""
    async with postgres.databases() as databases:
        database = Database(await databases.migrated("deputy"))
        be_impatient(monkeypatch, 0.3)
        gone = await _session(database, "deputy")
        await gone.execute("LOCK TABLE replicas")
        await asyncio.sleep(0.4)
        try:
            await database.open()
            async with asyncio.timeout(HANGING_SECONDS), database.writing() as connection:
                left = await connection.scalar(sa.select(sa.func.count()).select_from(replicas))
        finally:
            gone.terminate()
            await database.close()

    assert left == 0


async def test_a_start_waits_for_a_long_migration(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start waits for another process's migration, even if a statement takes long, and does not end it."""
    looked = Counter[str]()
    refuse_idle = migration_lock._refuse_idle

    async def refuse(url: sa.URL) -> None:
        await refuse_idle(url)
        looked["idle"] += 1

    monkeypatch.setattr(migration_lock, "_refuse_idle", refuse)
    async with postgres.databases() as databases, AsyncExitStack() as stack:
        database = Database(await databases.empty("deputy"))
        slow = await _session(database, "psql")
        stack.callback(slow.terminate)
        await slow.execute("SELECT pg_advisory_xact_lock(1)")
        with monkeypatch.context() as patch:
            patch.setattr(postgresql, "ANSWER_SECONDS", LIMIT_SECONDS / 2)
            at_work = await stack.enter_async_context(migration_lock.to_migrate(database.url))
        statement = asyncio.create_task(at_work.execute(sa.text("SELECT pg_advisory_xact_lock(1)")))
        while not await slow.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"):
            pass
        with monkeypatch.context() as patch:
            be_impatient(patch, LIMIT_SECONDS)
            opening = asyncio.create_task(database.open())
            await eventually(lambda: looked["idle"] >= 2 or opening.done() or statement.done())
            waited = not opening.done() and not statement.done()
        await slow.execute("ROLLBACK")
        await statement
        await stack.aclose()
        await asyncio.wait_for(opening, HANGING_SECONDS)
        await database.close()

    assert waited


async def _migrator(database: Database, application: str) -> Any:
    """Return a session whose transaction holds the migration lock."""
    session = await _session(database, application)
    await session.execute("SELECT pg_advisory_xact_lock($1::bigint)", migration_lock.LOCK)
    return session


async def _session(database: Database, application: str) -> Any:
    """Return a session that has begun a transaction."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    session = await asyncpg.connect(url, server_settings={"application_name": application})
    await session.execute("BEGIN")
    return session
