"""Tests of `deputy db copy`: all rows of two people, there and back, and what is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from app.audit.audit import Audit, AuditEntry, AuditEvent
from app.cli import cli
from app.database.copy import COPIED, Contents, copy_database
from app.database.database import Database
from app.database.tables import audit_events, messages
from app.delivery.store.inbox import Inbox
from app.delivery.store.lease import MessageLease
from app.delivery.store.replicas import Replicas
from app.errors import SettingsError
from app.grants.grants import Grants
from app.keys.ring import KeyRing
from app.principal import Principal
from app.supervisor import Supervisor
from tests.fakes.core_server import inbound
from tests.fakes.credentials import connect, google_tokens
from tests.fakes.databases import Databases


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Yield a database that is closed afterwards."""
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def fill(database: Database, key_ring: KeyRing, *people: Principal) -> None:
    """Give each person a grant, a message and a row in the audit trail."""
    for person in people:
        await connect(database, Grants(database, key_ring), person, google_tokens(f"{person.user}-1"))
        await Inbox(database).accept(inbound(person, conversation=person.user))
        await Audit(database).append([AuditEntry(person, AuditEvent.CALL, 0.1 + 0.2, status=200)])


async def contents(database: Database) -> dict[str, Contents]:
    """Return the contents of each copied table."""
    async with database.reading() as connection:
        return {
            table.name: Contents().with_rows((await connection.execute(sa.select(table))).all()) for table in COPIED
        }


async def test_everything_is_there_and_comes_back(
    databases: Databases, tmp_path: Path, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """After a copy from SQLite and back, rows are equal, tokens open for their own person, and numbers continue."""
    first, second, third = (
        f"sqlite+aiosqlite:///{tmp_path / 'first.db'}",
        await databases.empty("copied"),
        f"sqlite+aiosqlite:///{tmp_path / 'third.db'}",
    )
    async with opened(first) as source, opened(second) as middle, opened(third) as target:
        await source.open()
        await fill(source, key_ring, ada, grace)
        before = await contents(source)
        counts = await copy_database(source, middle)
        await copy_database(middle, target)
        after = await contents(target)
        grants = [await Grants(database, key_ring).find(each) for database in (middle, target) for each in (ada, grace)]
        await Audit(middle).append([AuditEntry(ada, AuditEvent.CALL, 1.0)])
        async with middle.reading() as connection:
            numbers = (await connection.execute(sa.select(audit_events.c.number).order_by("number"))).scalars().all()

    assert after == before
    assert (counts["grants"], counts["messages"], counts["audit_events"]) == (2, 2, 4)
    assert [grant and grant.refresh_token for grant in grants] == ["refresh-ada-1", "refresh-grace-1"] * 2
    assert numbers == [1, 2, 3, 4, 5]


async def test_a_target_that_is_not_empty_is_refused(
    databases: Databases, tmp_path: Path, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A target that has rows or is of another revision is refused, and left unchanged."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path / 'first.db'}") as source:
        await source.open()
        await fill(source, key_ring, ada)
        async with opened(await databases.migrated("taken")) as taken:
            await fill(taken, key_ring, grace)
            before = await contents(taken)
            with pytest.raises(SettingsError, match="is not empty"):
                await copy_database(source, taken)
            assert await contents(taken) == before
        async with opened(await databases.migrated("older")) as older:
            async with older.writing() as connection:
                await connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v0001_first_schema'"))
            with pytest.raises(SettingsError, match="v0001_first_schema"):
                await copy_database(source, older)
            assert (await older.revisions())[0] == "v0001_first_schema"
            assert {each.rows for each in (await contents(older)).values()} == {0}


async def test_a_copy_that_fails_leaves_nothing(
    databases: Databases, tmp_path: Path, key_ring: KeyRing, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that differs when it is read back is rolled back, so that it can be tried again."""
    async with (
        opened(f"sqlite+aiosqlite:///{tmp_path / 'first.db'}") as source,
        opened(await databases.empty("copied")) as target,
    ):
        await source.open()
        await fill(source, key_ring, ada)
        with monkeypatch.context() as wrong:
            wrong.setattr("app.database.copy._contents", _nothing)
            with pytest.raises(SettingsError, match="differs"):
                await copy_database(source, target)
        async with target.reading() as connection:
            left = (await connection.execute(sa.select(messages))).all()
        counts = await copy_database(source, target)

    assert left == []
    assert counts["messages"] == 1


async def _nothing(connection: object, table: object) -> Contents:
    del connection, table
    return Contents()


def test_it_is_refused_while_a_process_works(tmp_path: Path) -> None:
    """While a process uses the database, the command refuses to copy and says so."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"
    config = tmp_path / "config.yaml"
    tree = {
        "agents": {"assistant": {}}, "default_agent": "assistant", "interfaces": {"http": {}},
        "google": {"mode": "sandbox"}, "database": {"url": url}, "key_ring": {"file": str(tmp_path / "keys.yaml")},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(tree))
    arguments = ["db", "copy", "-c", str(config), "--to", f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"]

    async def while_one_works() -> int:
        async with opened(url) as database:
            await database.open()
            replicas = Replicas(
                database, MessageLease(f"here:{os.getppid()}:1", 60), engine="procrastinate", address="127.0.0.1:1"
            )
            async with replicas.joined(Supervisor()):
                result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
                assert "is still running" in result.stderr
                return result.exit_code

    assert asyncio.run(while_one_works()) == 2
    assert not (tmp_path / "new.db").exists()
    copied = CliRunner().invoke(cli, arguments)
    assert copied.exit_code == 0, copied.output
    assert "everything was copied" in copied.stdout
