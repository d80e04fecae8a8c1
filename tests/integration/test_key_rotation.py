"""`deputy keys rotate` reseals everything without loss, wherever it is interrupted and whoever writes meanwhile."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from app.api_tokens import ApiTokens
from app.connections.discovery_clients import DiscoveredClients, OAuthClient
from app.consent.links import ConsentLinks
from app.consent.quarantine import Quarantine
from app.database.database import Database
from app.database.tables import grants as grants_table
from app.database.tables import metadata
from app.grants.grants import Grants
from app.keys.check import check_or_begin
from app.keys.file import KeyFile
from app.keys.ring import KeyRing, key_id_of, open_key_ring
from app.keys.rotation import Rotation
from app.keys.sealed_columns import SealedColumn, sealed_columns
from app.oauth.description import ClientAuthentication
from app.principal import Principal
from interfaces.slack.installations import Installation, Installations
from tests.fakes.credentials import connect, google_tokens
from tests.fakes.databases import Databases
from tests.fakes.sandbox import READ

ISSUER = "https://issuer.example"
ONE, TWO = bytes(range(32)), bytes(range(32, 64))
PEOPLE = [Principal("http", "demo", f"{name}{number}") for number in range(8) for name in ("ada", "grace")]


@pytest.fixture
async def config(database: Database, databases: Databases, tmp_path: Path) -> Path:
    """Return a configuration of that database, with a key file beside it."""
    path = tmp_path / "config.yaml"
    tree = {
        "agents": {"assistant": {}}, "default_agent": "assistant", "interfaces": {"http": {}},
        "database": {"url": await databases.empty("deputy")}, "key_ring": {"file": str(tmp_path / "keys.yaml")},
        "google": {"sandbox": {"port": 0}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """Return the key file, with its first key."""
    file = KeyFile(tmp_path / "keys.yaml")
    file.read_or_make()
    return file


class Everything:
    """Sealed values of every kind for many people, and a check that all of them open unchanged."""

    def __init__(self, database: Database, key_ring: KeyRing) -> None:
        self.database = database
        self.grants = Grants(database, key_ring)
        self.links = ConsentLinks(database, key_ring, lifetime_seconds=600)
        self.quarantine = Quarantine(database, key_ring)
        self.tokens = ApiTokens(database, key_ring)
        self.installations = Installations(database, key_ring)
        self.clients = DiscoveredClients(database, key_ring)
        self._issued: dict[Principal, tuple[str, str, str]] = {}

    async def store(self) -> None:
        for person in PEOPLE:
            await connect(self.database, self.grants, person, google_tokens(f"{person.user}-1"))
            gone = replace(person, user=f"{person.user}-gone")
            await connect(self.database, self.grants, gone, google_tokens(f"{gone.user}-1"))
            async with self.database.writing() as connection:
                await self.grants.erase(connection, gone)
            link, link_token = await self.links.issue(person, frozenset({READ}))
            async with self.database.writing() as connection:
                held = google_tokens(f"{person.user}-held")
                await self.quarantine.hold(connection, link, held, {"code": "x"}, expires_at=time.time() + 600)
            self._issued[person] = (link.link_id, link_token, await self.tokens.issue(person, label="x"))
        for workspace in ("T0ONE", "T0TWO"):
            await self.installations.save(
                Installation(workspace, None, workspace, "U0BOT", "chat:write", "U0ADA", 0.0), f"xoxb-{workspace}"
            )
        for server in ("books", "maps"):
            await self.clients.keep_issuer(server, ISSUER)
            holder = await self.clients.begin(server)
            assert holder is not None
            client = OAuthClient(server, ClientAuthentication.BASIC, f"hush-{server}")
            await self.clients.keep(server, ISSUER, ISSUER, client, holder)

    async def assert_intact(self, key_ring: KeyRing) -> None:
        again = Everything(self.database, key_ring)
        async with self.database.reading() as connection:
            for sealed in sealed_columns():
                rows = (await connection.execute(sealed.rows())).all()
                assert rows, f"nothing is stored in {sealed}; add it to `store`"
                assert all(sealed.open(key_ring, row) for row in rows)
        for person, (link_id, link_token, api_token) in self._issued.items():
            grant = await again.grants.find(person)
            assert grant is not None
            assert str(grant.refresh_token).startswith(f"refresh-{person.user}-")
            assert await again.links.find_issued(person, link_id) == link_token
            assert await again.tokens.principal_of(api_token) == person
        for workspace in ("T0ONE", "T0TWO"):
            assert await again.installations.bot_token(workspace) == f"xoxb-{workspace}"
        for server in ("books", "maps"):
            found = await again.clients.find(server, ISSUER, ISSUER)
            assert found is not None
            assert found.secret == f"hush-{server}"


@pytest.fixture
async def everything(database: Database, key_file: KeyFile) -> Everything:
    """Return all of it, sealed with k1."""
    key_ring = open_key_ring(None, key_file.path)
    await check_or_begin(database, key_ring)
    everything = Everything(database, key_ring)
    await everything.store()
    return everything


async def key_ids(database: Database) -> dict[str, set[str]]:
    """Return the keys with which each sealed column's values are sealed."""
    async with database.reading() as connection:
        return {
            str(sealed): {key_id_of(row.sealed) for row in await connection.execute(sealed.rows())}
            for sealed in sealed_columns()
        }


async def rotate(config: Path, *options: str, patch: str = "") -> tuple[int, str]:
    """Run `deputy keys rotate` as a separate process, and return its exit code and output."""
    script = f"{patch}\nfrom app.cli import main; main()"
    arguments = ["-c", script, "keys", "rotate", "-c", str(config), *options]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)
    printed, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode, (printed + errors).decode()


def test_every_sealed_column_is_declared() -> None:
    """Every column whose name begins with "sealed" is known to `keys rotate`, with bindings of its own."""
    named = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.c
        if column.name.startswith("sealed")
    }
    declared = sealed_columns()

    assert {str(sealed) for sealed in declared} == named
    assert len({sealed.column.info["kind"] for sealed in declared}) == len(declared)
    assert all(sealed.key in sealed.bound_to or sealed.key.foreign_keys for sealed in declared)


async def test_everything_is_sealed_anew_with_a_fresh_key(
    everything: Everything, config: Path, key_file: KeyFile, database: Database
) -> None:
    """After a rotation every sealed value opens with the new key alone, unchanged."""
    code, printed = await rotate(config)
    fresh = {"k2": key_file.read()["k2"]}

    assert code == 0, printed
    assert list(key_file.read()) == ["k2", "k1"]
    assert set(map(tuple, (await key_ids(database)).values())) == {("k2",)}
    await everything.assert_intact(KeyRing(fresh))
    assert "unused, and may be removed: k1" in printed


PLANTED = {
    "before the key file is replaced": "import os\nos.replace = lambda *_: os.kill(os.getpid(), 9)",
    "after the key file is replaced": (
        "import os\nreplace = os.replace\ndef once(*a):\n    replace(*a); os.kill(os.getpid(), 9)\nos.replace = once"
    ),
    "after the third row": (
        "import os\nfrom app.keys.rotation import Rotation\nreplace, seen = Rotation._replace, []\n"
        "async def counted(*a):\n    seen.append(await replace(*a))\n    len(seen) < 3 or os.kill(os.getpid(), 9)\n"
        "    return True\nRotation._replace = counted"
    ),
    "within a transaction": (
        "import os\nfrom app.keys.sealed_columns import SealedColumn\nseal, seen = SealedColumn.seal, []\n"
        "def counted(self, *a):\n    seen.append(1)\n    len(seen) < 20 or os.kill(os.getpid(), 9)\n"
        "    return seal(self, *a)\nSealedColumn.seal = counted"
    ),
}  # fmt: skip


@pytest.mark.parametrize("patch", PLANTED.values(), ids=PLANTED.keys())
async def test_a_rotation_that_was_killed_is_finished_by_the_same_command(
    everything: Everything, config: Path, key_file: KeyFile, database: Database, patch: str
) -> None:
    """After kill -9 at any step every value opens, and the next run finishes with the same new key."""
    code, _ = await rotate(config, patch=patch)
    await everything.assert_intact(open_key_ring(None, key_file.path))
    finished, printed = await rotate(config)

    assert code == -signal.SIGKILL
    assert finished == 0, printed
    assert {key for keys in (await key_ids(database)).values() for key in keys} == {next(iter(key_file.read()))}
    await everything.assert_intact(open_key_ring(None, key_file.path))
    assert len(key_file.read()) <= 3


async def test_a_rotation_that_is_killed_again_and_again_loses_nothing(
    everything: Everything, config: Path, key_file: KeyFile
) -> None:
    """After kills at random moments every value still opens, and an undisturbed run finishes."""
    moments = random.Random(7)
    for _ in range(3):
        timer = f"threading.Timer({moments.uniform(0.0, 0.3)}, os.kill, (os.getpid(), 9)).start()"
        await rotate(config, patch=f"import os, threading\nfrom app.keys import rotation\n{timer}")
        await everything.assert_intact(open_key_ring(None, key_file.path))
    code, printed = await rotate(config)

    assert code == 0, printed
    await everything.assert_intact(open_key_ring(None, key_file.path))


async def test_a_concurrent_refresh_is_never_overwritten(everything: Everything, key_file: KeyFile) -> None:
    """Tokens that are refreshed during a rotation are kept, and end up sealed with the new key."""
    key_file.add_primary()
    ring = open_key_ring(None, key_file.path)
    rotation = Rotation(everything.database, ring, batch_rows=3)
    renewed: dict[Principal, str] = {}
    done = asyncio.Event()

    async def refresh_on_and_on() -> None:
        for number in range(1, 1000):
            for person in PEOPLE[:4]:
                grant = await everything.grants.find(person)
                assert grant is not None
                fresh = await everything.grants.replace_tokens(grant, google_tokens(f"{person.user}-{number}"))
                assert fresh is not None
                renewed[person] = str(fresh.refresh_token)
            if done.is_set() and number > 3:
                return

    refreshing = asyncio.create_task(refresh_on_and_on())
    async for _ in rotation.run():
        await asyncio.sleep(0)
    done.set()
    await refreshing

    await everything.assert_intact(ring)
    for person, refresh_token in renewed.items():
        grant = await everything.grants.find(person)
        assert grant is not None
        assert grant.refresh_token == refresh_token
    assert (await rotation.counts())["k1"] == 0


async def test_what_an_old_server_writes_in_between_is_kept_and_sealed_anew(
    everything: Everything, key_file: KeyFile
) -> None:
    """A value that an old server changes during a rotation is kept, and the next pass reseals it."""
    old_ring, database = KeyRing(key_file.read()), everything.database
    overtaken_rows: set[object] = set()

    class Overtaken(Rotation):
        async def _replace(self, sealed: SealedColumn, row: sa.Row[Any], plaintext: str) -> bool:
            if str(sealed) == "grants.sealed_tokens" and row.row_key not in overtaken_rows:
                overtaken_rows.add(row.row_key)
                late = sealed.seal(old_ring, row, plaintext.replace("refresh-", "refresh-late-"))
                mine = grants_table.c.id == row.row_key
                async with database.writing() as connection:
                    await connection.execute(grants_table.update().where(mine).values(sealed_tokens=late))
            return await super()._replace(sealed, row, plaintext)

    key_file.add_primary()
    ring = open_key_ring(None, key_file.path)
    rotation = Overtaken(database, ring)
    overtaken = [progress.overtaken async for progress in rotation.run()]

    assert max(overtaken) == len(PEOPLE)
    assert (await rotation.counts())["k1"] == 0
    for person in PEOPLE:
        grant = await Grants(database, ring).find(person)
        assert grant is not None
        assert grant.refresh_token == f"refresh-late-{person.user}-1"


async def test_a_running_server_follows_the_rotation(everything: Everything, config: Path, key_file: KeyFile) -> None:
    """A running server with k1 alone opens what the command sealed with k2, and from then on seals with k2."""
    code, printed = await rotate(config)
    grant = await everything.grants.find(PEOPLE[0])
    assert grant is not None
    await everything.grants.replace_tokens(grant, google_tokens("ada0-2"))

    assert code == 0, printed
    assert set((await key_ids(everything.database))["grants.sealed_tokens"]) == {"k2"}


async def test_old_keys_are_removed_only_when_asked_and_settled(
    everything: Everything, config: Path, key_file: KeyFile
) -> None:
    """Old keys are removed only on request, only when unused, and not while servers may still write with them."""
    await rotate(config)
    hasty = await rotate(config, "--remove-old")
    after_hasty = list(key_file.read())
    os.utime(key_file.path, (time.time() - 601,) * 2)
    removed = await rotate(config, "--remove-old")

    assert (hasty[0], after_hasty) == (1, ["k2", "k1"])
    assert "try again in" in hasty[1]
    assert (removed[0], list(key_file.read())) == (0, ["k2"]), removed[1]
    await everything.assert_intact(KeyRing(key_file.read()))


async def test_a_key_that_is_in_use_is_not_removed(everything: Everything, config: Path, key_file: KeyFile) -> None:
    """If a row cannot be opened, its key stays on the ring, the row is named, and the exit code is 1."""
    async with everything.database.writing() as connection:
        tampered = grants_table.update().where(grants_table.c.user_id == "ada0").values(user_id="mallory")
        await connection.execute(tampered)
    rotated = await rotate(config)
    os.utime(key_file.path, (time.time() - 601,) * 2)
    removed = await rotate(config, "--remove-old")

    assert (rotated[0], removed[0]) == (1, 1)
    assert "grants.sealed_tokens of " in removed[1]
    assert list(key_file.read()) == ["k2", "k1"]


async def test_keys_of_the_settings_are_rotated_to_the_first_one(
    everything: Everything, config: Path, key_file: KeyFile, database: Database
) -> None:
    """Keys in the settings are not created or removed: the first reseals everything, and the others are listed."""
    keys = {"k5": TWO, **key_file.read()}
    tree = yaml.safe_load(config.read_text())
    tree["key_ring"] = {"keys": {name: base64.b64encode(key).decode() for name, key in keys.items()}}
    config.write_text(yaml.safe_dump(tree, sort_keys=False))
    code, printed = await rotate(config)
    refused = await rotate(config, "--remove-old")

    assert code == 0, printed
    assert "may be removed: k1 (take them out of key_ring.keys)" in printed
    assert {key for found in (await key_ids(database)).values() for key in found} == {"k5"}
    assert refused[0] == 2
    await everything.assert_intact(KeyRing({"k5": TWO}))
