"""What every test stands on: two people, a database, a key ring, and a network that ends at loopback."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.credentials.key_ring import KeyRing
from app.database.database import Database
from app.principal import Principal

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


@pytest.fixture
def ada() -> Principal:
    """One of two people who never see each other's things."""
    return Principal("http", "demo", "ada")


@pytest.fixture
def grace() -> Principal:
    """The other one, of the same tenant."""
    return Principal("http", "demo", "grace")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated SQLite database in a file of its own."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}")
    try:
        await database.open()
        yield database
    finally:
        await database.close()


@pytest.fixture
def key_ring() -> KeyRing:
    """A ring with one key."""
    return KeyRing({"k1": bytes(range(32))})
