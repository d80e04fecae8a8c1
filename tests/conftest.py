"""What every test stands on: two people, a database, a key ring, and a network that ends at loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from app.database.database import Database
from app.keys.ring import KeyRing
from app.principal import Principal
from containers.testing import two_principals
from tests.fakes.databases import Databases, PostgresServer, SqliteDatabases
from tests.fakes.haste import haste
from tests.fakes.postgres import Cluster, find_binaries, running_postgres

_SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_RESOLVING = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})


class NetworkRefusedError(RuntimeError):
    """A test tried to leave this machine. No OSError, so that nothing takes it for a network that is down."""


def _keep_to_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to connect, send or look a name up beyond loopback; an audit hook, so no client gets around it."""
    if event in _SENDING:
        connection, address = arguments
        inside = connection.family == socket.AF_UNIX or not address or _is_loopback(address[0])
    elif event in _RESOLVING:
        address = arguments[0]
        inside = address in (None, "", "localhost", b"localhost") or _is_address(address)
    else:
        return
    if not inside:
        raise NetworkRefusedError(f"a test may reach loopback only, not {address!r}")


def _is_address(host: str | bytes) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


sys.addaudithook(_keep_to_loopback)


@pytest.fixture(scope="session", autouse=True)
def in_haste() -> Iterator[None]:
    """Servers stop, and clients are made, without delay."""
    with haste():
        yield


@pytest.fixture
def ada() -> Principal:
    """One of two people who never see each other's things."""
    return two_principals()[0]


@pytest.fixture
def grace() -> Principal:
    """The other one, of the same tenant."""
    return two_principals()[1]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of this session's own."""
    binaries = find_binaries()
    if binaries is None:
        lacking("PostgreSQL", package="postgresql")
    with running_postgres(binaries) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres(cluster: Cluster) -> PostgresServer:
    """That server, for the databases of tests."""
    return PostgresServer(cluster.url)


@pytest.fixture(params=["sqlite", "postgresql"])
async def databases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Databases]:
    """Databases of this test's own, SQLite and PostgreSQL in turn."""
    async with databases_of(request, tmp_path) as databases:
        yield databases


@asynccontextmanager
async def databases_of(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Databases]:
    """Databases of the kind that a fixture's parameter names; for a fixture of any scope."""
    if request.param == "sqlite":
        yield SqliteDatabases(folder)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        async with server.databases() as databases:
            yield databases


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """A migrated database of this test's own, SQLite and PostgreSQL in turn."""
    database = Database(await databases.migrated("deputy"))
    try:
        yield database
    finally:
        await database.close()


def lacking(tool: str, *, package: str) -> NoReturn:
    """Skip a test by the name of the tool that it lacks; in CI, where every tool has to be there, fail."""
    message = f"NEEDS {tool}: apt-get install {package}"
    if os.environ.get("DEPUTY_REQUIRE_TOOLS"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def key_ring() -> KeyRing:
    """A ring with one key."""
    return KeyRing({"k1": bytes(range(32))})
