"""A key ring that does not fit the database stops the start, and the error says which key and what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from app.cli import cli
from app.database.database import Database
from app.database.tables import grants, key_checks
from app.errors import SettingsError
from app.grants.grants import Grants
from app.keys.check import check_key_ring, check_or_begin
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.fakes.credentials import connect, google_tokens

ONE, TWO, THREE = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))


async def test_an_empty_database_knows_its_first_key(database: Database) -> None:
    """After the first start a changed or a missing first key is refused, although nothing is sealed yet."""
    await check_or_begin(database, KeyRing({"k1": ONE}))
    await check_or_begin(database, KeyRing({"k2": TWO, "k1": ONE}))

    with pytest.raises(SettingsError, match=r"key 'k1' has other bytes .* Put the former key back"):
        await check_or_begin(database, KeyRing({"k1": TWO}))
    with pytest.raises(SettingsError, match=r"needs key 'k1', which is not on the key ring .k3.. Add it back"):
        await check_or_begin(database, KeyRing({"k3": TWO}))


async def test_servers_that_start_together_agree_on_one_key(database: Database) -> None:
    """Of servers that start together with two different keys, those with one key start and the others are refused."""
    rings = [KeyRing({"k1": ONE}), KeyRing({"k1": TWO})]
    outcomes = await asyncio.gather(*(check_or_begin(database, ring) for ring in rings * 3), return_exceptions=True)

    assert sorted(str(type(each)) for each in outcomes) == sorted([str(type(None))] * 3 + [str(SettingsError)] * 3)
    async with database.reading() as connection:
        assert len((await connection.execute(sa.select(key_checks))).all()) == 1


@pytest.mark.parametrize(("keys", "fault"), [
    ({"k2": TWO}, "grants.sealed_tokens needs key 'k1'"),
    ({"k2": TWO, "k1": THREE}, "key 'k1' has other bytes than the key of this name that this database"),
])  # fmt: skip
async def test_the_keys_that_rows_need_are_on_the_ring(
    database: Database, ada: Principal, grace: Principal, keys: dict[str, bytes], fault: str
) -> None:
    """An older key that rows still need must be on the ring and open them, even if the first key fits."""
    both = KeyRing({"k2": TWO, "k1": ONE})
    await check_or_begin(database, both)
    await connect(database, Grants(database, both), ada, google_tokens("ada-1"))
    await connect(database, Grants(database, KeyRing({"k1": ONE})), grace, google_tokens("grace-1"))
    await check_key_ring(database, both)

    with pytest.raises(SettingsError, match=fault):
        await check_key_ring(database, KeyRing(keys))


async def test_a_row_that_was_tampered_with_stops_no_start(
    database: Database, ada: Principal, grace: Principal, key_ring: KeyRing
) -> None:
    """A row that was tampered with does not stop the start, even if it is the only one that its key has sealed."""
    await check_or_begin(database, key_ring)
    for person in (ada, grace):
        await connect(database, Grants(database, key_ring), person, google_tokens(f"{person.user}-1"))
    async with database.writing() as connection:
        await connection.execute(grants.update().where(grants.c.user_id == "ada").values(user_id="mallory"))

    await check_or_begin(database, key_ring)

    await check_or_begin(database, KeyRing({"k2": TWO, "k1": bytes(range(32))}))  # also if it is all that k1 sealed


async def test_an_upgraded_database_knows_its_keys_by_its_rows(
    database: Database, ada: Principal, grace: Principal, key_ring: KeyRing
) -> None:
    """Without a stored key check, as after an upgrade, the key is tried on sealed rows."""
    for person in (ada, grace):
        await connect(database, Grants(database, key_ring), person, google_tokens(f"{person.user}-1"))

    with pytest.raises(SettingsError, match="key 'k1' has other bytes"):
        await check_or_begin(database, KeyRing({"k1": TWO}))
    await check_or_begin(database, key_ring)


async def test_an_id_is_never_used_for_a_second_key(database: Database) -> None:
    """A key that no longer seals anything may be removed, but another key with its id is refused."""
    await check_or_begin(database, KeyRing({"k2": TWO, "k1": ONE}))
    await check_or_begin(database, KeyRing({"k2": TWO}))

    with pytest.raises(SettingsError, match="key 'k1' has other bytes"):
        await check_or_begin(database, KeyRing({"k2": TWO, "k1": THREE}))


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_wrong_key_is_refused_by_the_commands(tmp_path: Path, command: str) -> None:
    """With a wrong key the command exits with 2, names the key, and serves nothing."""
    config, keys = tmp_path / "config.yaml", tmp_path / "keys.yaml"
    tree = {
        "agents": {"assistant": {}}, "default_agent": "assistant", "interfaces": {"http": {}},
        "server": {"port": 0}, "database": {"url": f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}"},
        "key_ring": {"file": str(keys)}, "google": {"sandbox": {"port": 0}},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(tree))
    arguments = ["-c", str(config)]
    issued = CliRunner().invoke(cli, ["tokens", "issue", "--principal", "http:demo:ada", *arguments])
    keys.unlink()  # so a new one with the same name is made
    refused = CliRunner().invoke(cli, [command, *arguments])

    assert issued.exit_code == 0, issued.stderr
    assert refused.exit_code == 2
    assert "key 'k1' has other bytes" in refused.stderr
    assert "listens" not in refused.stdout
