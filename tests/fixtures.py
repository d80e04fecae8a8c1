"""The fixtures of all tests: two people, databases, a key ring, and fast servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.database.database import Database
from app.keys.ring import KeyRing
from app.principal import Principal
from containers.testing import two_principals
from tests.conftest import DATABASES, lacking
from tests.fakes.core_server import end_signs
from tests.fakes.databases import Databases, PostgresServer, SqliteDatabases
from tests.fakes.delays import delays, longest_delay
from tests.fakes.haste import haste
from tests.fakes.postgres import Cluster, find_binaries, running_postgres


@pytest.fixture(scope="session", autouse=True)
def in_haste() -> Iterator[None]:
    """Make servers stop and clients start without delay, and let servers answer late if `DEPUTY_TEST_DELAY` is set."""
    with haste(), delays(longest_delay()):
        yield


@pytest.fixture
def ada() -> Principal:
    """Return one of two people who never see each other's data."""
    return two_principals()[0]


@pytest.fixture
def grace() -> Principal:
    """Return the other person, who is in the same tenant."""
    return two_principals()[1]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yield a PostgreSQL server for this session."""
    binaries = find_binaries()
    if binaries is None:
        lacking("PostgreSQL", package="postgresql")
    with running_postgres(binaries) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres(cluster: Cluster) -> PostgresServer:
    """Return that server, for the databases of tests."""
    return PostgresServer(cluster.url)


@pytest.fixture(params=DATABASES)
async def databases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Databases]:
    """Yield the databases of one test, SQLite and PostgreSQL in turn."""
    async with databases_of(request, tmp_path) as databases:
        yield databases


@asynccontextmanager
async def databases_of(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Databases]:
    """Yield databases of the kind that a fixture's parameter names; for a fixture of any scope."""
    if request.param == "sqlite":
        yield SqliteDatabases(folder)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        async with server.databases() as databases:
            yield databases


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """Yield a migrated database for one test, SQLite and PostgreSQL in turn."""
    database = Database(await databases.migrated("deputy"))
    try:
        yield database
    finally:
        await end_signs(database)
        await database.close()


@pytest.fixture
def key_ring() -> KeyRing:
    """Return a ring with one key."""
    return KeyRing({"k1": bytes(range(32))})
