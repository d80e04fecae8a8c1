"""Tests of `deputy audit`: searches by person, account, time, tool and method, also after a disconnect."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from app.audit.audit import Audit, AuditEntry, AuditEvent
from app.cli import cli
from app.database.database import Database
from app.database.tables import former_accounts
from app.delivery.store.retention import Retention
from app.grants.former_accounts import account_addresses
from app.grants.grants import Grants
from app.keys.ring import KeyRing, open_key_ring
from app.principal import Principal
from tests.fakes.credentials import connect, google_tokens
from tests.fakes.databases import Databases

DAY = 86_400.0


@pytest.fixture
def key_ring(tmp_path: Path) -> KeyRing:
    """Return the key ring of the configuration below."""
    return open_key_ring(None, tmp_path / "keys.yaml")


def searched(config: Path, *options: str) -> list[dict[str, Any]]:
    """Return what the command prints as JSON."""
    result = CliRunner().invoke(cli, ["audit", *options, "--json", "--config", str(config)])
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


async def test_it_is_searched_by_what_an_administrator_knows(
    tmp_path: Path, databases: Databases, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Each search finds its rows of one person or of both, and an account's rows even after it was disconnected."""
    url = await databases.migrated("audit")
    database = Database(url)
    await database.open()
    grants = Grants(database, key_ring)
    ids = {}
    for number, person in enumerate((ada, grace)):
        await connect(database, grants, person, google_tokens(f"{person.user}-1"))
        grant = await grants.find(person)
        assert grant is not None
        ids[person] = grant.grant_id
        call, at = f"{number}" * 32, 2_683_612_800 + number * DAY  # 2055-01-15T08:00:00Z and a day later
        rows = [
            AuditEntry(person, AuditEvent.CALL, at, f"a{number}" * 16, call, "gmail_read", grant.grant_id,
                       "gmail.users.messages.get", 200),
            AuditEntry(person, AuditEvent.TOOL, at, f"a{number}" * 16, call, "gmail_read", outcome="done"),
        ]  # fmt: skip
        await Audit(database).append(rows)
    async with database.writing() as connection:
        await grants.erase(connection, ada)
    await database.close()
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "agents": {"assistant": {}},
                "default_agent": "assistant",
                "interfaces": {"http": {}},
                "google": {"mode": "sandbox"},
                "database": {"url": url},
                "key_ring": {"file": str(tmp_path / "keys.yaml")},
            }
        )
    )

    def found(*options: str) -> list[tuple[str, str]]:
        return [(row["principal"], row["event"]) for row in searched(config, *options)]

    ada_rows, grace_rows = [[(str(person), "call"), (str(person), "tool")] for person in (ada, grace)]
    confirmed = [(str(person), "confirm") for person in (ada, grace)]
    tests = {
        ("--account", "ADA@example.com"): [confirmed[0], *ada_rows],
        ("--account", "grace@example.com"): [confirmed[1], *grace_rows],
        ("--account", "nobody@example.com"): [],
        ("--method", "gmail.users"): [ada_rows[0], grace_rows[0]],
        ("--method", "gmail.use"): [],
        ("--tool", "gmail_read"): [*ada_rows, *grace_rows],
        ("--since", "2055-01-16"): grace_rows,
        ("--since", "2055-01-15T08:00:00Z", "--until", "2055-01-16T08:00:00Z"): ada_rows,
        ("--tool", "gmail_read", "--principal", str(grace)): grace_rows,
        ("--message", "a0a0a0a0"): ada_rows,
    }
    results = {options: await asyncio.to_thread(found, *options) for options in tests}
    calls = await asyncio.to_thread(searched, config, "--method", "gmail")

    assert results == tests
    assert [row["account"] for row in calls] == ["ada@example.com", "grace@example.com"]
    assert CliRunner().invoke(cli, ["audit", "--config", str(config)]).exit_code == 2


async def test_an_address_is_sealed_and_erased_in_time(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """After a disconnect the address is stored only sealed, and it is erased after `account_days`; others' are kept."""
    now = [0.0]
    grants = Grants(database, key_ring, lambda: now[0])
    retention = Retention(database, retention_days=1, history_days=1, account_days=30, now=lambda: now[0])
    for day, person in enumerate((ada, grace)):
        now[0] = day * 20 * DAY
        await connect(database, grants, person, google_tokens(f"{person.user}-1"))
        async with database.writing() as connection:
            await grants.erase(connection, person)
    async with database.reading() as connection:
        stored = (await connection.execute(sa.select(former_accounts))).all()
    before = sorted((await account_addresses(database, key_ring)).values())
    now[0] = 31 * DAY
    await retention.erase()

    assert not any("@" in str(row) for row in stored)
    assert before == ["ada@example.com", "grace@example.com"]
    assert list((await account_addresses(database, key_ring)).values()) == ["grace@example.com"]
