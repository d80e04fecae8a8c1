"""A real PostgreSQL for the length of a test session: its own cluster, a free loopback port, no privileges."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

_USER = "deputy"
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian's place, the newest first


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, or None where PostgreSQL's server is not installed."""
    on_path = shutil.which("initdb")
    candidates = [*_BINARIES, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@contextmanager
def running_postgres(binaries: Path) -> Iterator[str]:
    """Start a cluster in a temporary folder and stop it at the end; yields ``127.0.0.1:<port>``.

    PostgreSQL refuses to run as root, so there it runs as the user that Debian's package made.
    """
    owner = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="deputy-postgres-"))
    if owner is not None:
        shutil.chown(folder, owner)
    port = _free_port()
    try:
        _run(owner, binaries / "initdb", "-D", folder / "data", "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-locale")
        # The data is thrown away, so nothing need reach the disk.
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
        control = (binaries / "pg_ctl", "-D", folder / "data", "-w", "-t", "30")
        _run(owner, *control, "-l", folder / "log", "-o", options, "start")
        try:
            yield f"127.0.0.1:{port}"
        finally:
            _run(owner, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


async def create_database(server: str) -> str:
    """A new empty database of a server; returns its SQLAlchemy URL."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_async_engine(f"postgresql+asyncpg://{_USER}@{server}/postgres", isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"CREATE DATABASE {name}"))
    finally:
        await engine.dispose()
    return f"postgresql+asyncpg://{_USER}@{server}/{name}"


def _run(user: str | None, *command: Path | str) -> None:
    subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
