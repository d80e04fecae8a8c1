"""A PostgreSQL that does not answer, without a word: nobody waits for it without an end, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest
import sqlalchemy as sa

from app.database import postgresql, turn
from app.database.database import Database
from app.database.tables import replicas
from app.errors import SettingsError
from app.sections.delivery import DeliverySettings
from tests.fakes.databases import PostgresServer
from tests.fakes.environment import open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, direct, eventually, user
from tests.fakes.silenced_postgres import SilencedPostgres, open_silenced_postgres

LIMIT_SECONDS = 1.0


@pytest.fixture
async def way(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SilencedPostgres]:
    """The way to a server's databases, on which nobody waits for long."""
    for name in ("ANSWER_SECONDS", "CONNECT_SECONDS"):
        monkeypatch.setattr(postgresql, name, LIMIT_SECONDS)
    monkeypatch.setattr("app.delivery.engines.procrastinate.ANSWER_SECONDS", LIMIT_SECONDS)
    async with postgres.databases() as databases, open_silenced_postgres(databases, postgres.url) as way:
        yield way


@pytest.mark.parametrize("engine", ["embedded", "procrastinate"])
async def test_what_was_accepted_is_answered_once_the_database_is_back(
    way: SilencedPostgres, tmp_path: Path, engine: Literal["embedded", "procrastinate"]
) -> None:
    """A webhook is refused in time meanwhile; then server and worker go on by themselves, and everybody is answered."""
    model = ScriptedModel()
    delivery = DeliverySettings(engine=engine, scan_seconds=0.2, lease_seconds=4, backoff_seconds=0.2, grace_seconds=1)
    async with (
        open_environment(tmp_path, way, delivery=delivery) as environment,
        environment.in_process(model.install) as server,
    ):
        await _say(server, "ada", "wait one")
        await eventually(lambda: model.begun)
        way.fall_silent()
        model.gate.set()
        began = time.monotonic()
        refused = await _say(server, "grace", "repeat two")
        seconds = time.monotonic() - began
        await asyncio.sleep(3 * LIMIT_SECONDS)
        way.speak()
        taken = await _say(server, "grace", "repeat two")
        told = [[post.text for post in await server.posts(direct(name), 1)] for name in ("ada", "grace")]

    assert (refused, taken) == (503, 200)
    assert seconds < 8 * LIMIT_SECONDS
    assert told == [["waited one"], ["two"]]


async def _say(server: Server, name: str, text: str) -> int:
    event = server.slack.event(user=user(name), text=text, channel=direct(name), event_id=f"Ev{name}")
    return (await server.deliver(event)).status_code


@pytest.mark.parametrize(("application", "refused"), [("deputy", False), ("psql", True)])
async def test_a_start_waits_for_nobody_who_is_gone(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, application: str, refused: bool
) -> None:
    """The transaction of a Deputy that was migrating is ended; whatever else is in the way is named with what to do."""
    monkeypatch.setattr(turn, "_STUCK_SECONDS", 0.3)
    monkeypatch.setattr(turn, "_LOOK_SECONDS", 0.1)
    async with postgres.databases() as databases:
        database = Database(await databases.empty("deputy"))
        gone = await _migrator(database, application)
        try:
            async with asyncio.timeout(30):
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
    """Not the turn to migrate alone: whoever starts next gets any other one at once, with no other process there."""
    monkeypatch.setattr(turn, "_STUCK_SECONDS", 0.3)
    async with postgres.databases() as databases:
        database = Database(await databases.migrated("deputy"))
        gone = await _session(database, "deputy")
        await gone.execute("LOCK TABLE replicas")
        await asyncio.sleep(0.4)
        try:
            await database.open()
            async with asyncio.timeout(5), database.writing() as connection:
                left = await connection.scalar(sa.select(sa.func.count()).select_from(replicas))
        finally:
            gone.terminate()
            await database.close()

    assert left == 0


async def test_a_start_waits_for_a_long_migration(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is at work is not ended, however long a statement of it takes, nor is anybody's who waits for it."""
    monkeypatch.setattr(turn, "_STUCK_SECONDS", 0.3)
    monkeypatch.setattr(turn, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(postgresql, "ANSWER_SECONDS", 0.5)
    async with postgres.databases() as databases:
        database = Database(await databases.empty("deputy"))
        async with turn.to_migrate(database.url) as at_work:
            opening = asyncio.create_task(database.open())
            await at_work.execute(sa.text("SELECT pg_sleep(2)"))
            waited = not opening.done()
        await asyncio.wait_for(opening, 30)
        await database.close()

    assert waited


async def _migrator(database: Database, application: str) -> Any:
    """A session in whose transaction the turn to migrate was taken."""
    session = await _session(database, application)
    await session.execute("SELECT pg_advisory_xact_lock($1::bigint)", turn.LOCK)
    return session


async def _session(database: Database, application: str) -> Any:
    """A session that has begun a transaction."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    session = await asyncpg.connect(url, server_settings={"application_name": application})
    await session.execute("BEGIN")
    return session
