"""An SQLite file that is locked, read-only or full: no message is accepted, and the log says why, once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from app.database import refusals, sqlite
from app.database.database import Database
from app.main import create_app
from tests.fakes.environment import open_environment
from tests.fakes.server import Server, direct, user

WORDS = {"locked": "another process has locked the file", "read-only": "the file is read-only", "full": "disk is full"}
REFUSING = {"read-only": "PRAGMA query_only = ON", "full": "PRAGMA max_page_count = 1"}
ALLOWING = {"read-only": "PRAGMA query_only = OFF", "full": "PRAGMA max_page_count = 1073741823"}
TEXT = "hello " * 5_000  # more than fits into the page that the last message has left


@asynccontextmanager
async def refusing(database: Database, kind: str) -> AsyncIterator[None]:
    """Let the database's file refuse every change until the block ends."""
    path = str(database.url.database)
    if kind == "locked":
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.close()
        return

    with sqlite3.connect(path) as vacuum:
        vacuum.execute("VACUUM")  # otherwise free pages would take the following rows
    vacuum.close()
    pragma = [REFUSING[kind]]
    engine = database._engine.sync_engine
    sa.event.listen(engine, "checkout", lambda connection, *_: connection.execute(pragma[0]).close())
    try:
        yield
    finally:
        pragma[0] = ALLOWING[kind]


@asynccontextmanager
async def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, httpx2.AsyncClient]]:
    """Yield a server that waits only briefly for a lock, and a client for its readiness."""
    monkeypatch.setattr("app.database.database.BUSY_SECONDS", 0.05)
    async with open_environment(folder) as environment, environment.in_process() as server:
        ready = asyncio.Event()
        ready.set()
        transport = httpx2.ASGITransport(create_app(server.container, server.settings, ready))
        async with httpx2.AsyncClient(transport=transport, base_url="http://deputy.test") as client:
            yield server, client


@pytest.mark.parametrize("kind", WORDS)
async def test_a_file_that_refuses_changes_refuses_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """While the file refuses changes, webhooks get a 503 and `/readyz` says why; afterwards both work again."""
    async with serving(tmp_path, monkeypatch) as (server, client):
        before = await client.get("/readyz")
        async with refusing(server.container.database(), kind):
            events = [server.slack.event(user=user(name), text=TEXT, channel=direct(name)) for name in ("ada", "grace")]
            refused = [await server.deliver(event) for event in events]
            during = await client.get("/readyz")
        after = await client.get("/readyz")
        accepted = [await server.deliver(event) for event in events]

    assert (before.status_code, during.status_code, after.status_code) == (200, 503, 200)
    assert WORDS[kind] in during.json()["why"]
    assert [response.status_code for response in refused] == [503, 503]
    assert [response.status_code for response in accepted] == [200, 200]
    lines = [record.getMessage() for record in caplog.records if "requests are refused" in record.getMessage()]
    assert len(lines) == 1
    assert WORDS[kind] in lines[0]


async def test_those_who_queue_behind_a_locked_file_are_refused_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred changes that queue behind a locked file are refused together, after a single wait."""
    monkeypatch.setattr("app.database.database.BUSY_SECONDS", 0.05)
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}")
    await database.open()
    begun: list[object] = []
    begin = sqlite._Connection.begin

    def count(connection: sqlite._Connection, *, writes: bool, takes_long: bool) -> None:
        begun.append(connection)
        begin(connection, writes=writes, takes_long=takes_long)

    monkeypatch.setattr(sqlite._Connection, "begin", count)

    async def write() -> None:
        async with database.writing():
            pass

    try:
        async with refusing(database, "locked"):
            results = await asyncio.gather(*(write() for _ in range(100)), return_exceptions=True)
        await write()

        assert {type(result) for result in results} == {sa.exc.OperationalError}
        assert len(begun) == 2
    finally:
        await database.close()


async def test_a_server_waits_for_a_lock_less_long_than_slack_for_an_answer() -> None:
    """Slack waits three seconds for an answer: https://docs.slack.dev/apis/events-api/#responding"""
    assert refusals.BUSY_SECONDS < 3
