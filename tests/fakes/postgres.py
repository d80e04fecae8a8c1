"""A real PostgreSQL for one test session: its own cluster, on a free loopback port, without privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.fakes.memory import folder_in_memory
from tests.fakes.ports import free_port
from tests.guards import processes

_USER = "deputy"
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian's folders, the newest first

# The data is temporary: it need not reach the disk, be replicated, or be vacuumed.
_FORGETFUL = "-c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c autovacuum=off"


def find_binaries() -> Path | None:
    """Return the folder with `initdb` and `postgres`, or None if PostgreSQL's server is not installed."""
    on_path = shutil.which("initdb")
    candidates = [*_BINARIES, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@dataclass(frozen=True)
class Cluster:
    """A running server.

    Attributes:
        url: For SQLAlchemy, without a database; the same after a restart.
    """

    url: str
    _control: tuple[Path | str, ...]
    _owner: str | None

    def restart(self, mode: Literal["fast", "immediate"]) -> None:
        """Restart the server and return when it answers: every connection breaks, and committed data stays.

        Args:
            mode: ``fast`` rolls open transactions back; ``immediate`` crashes, and recovers at its start.
        """
        _run(self._owner, *self._control, "-m", mode, "restart")


@contextmanager
def running_postgres(binaries: Path) -> Iterator[Cluster]:
    """Start a cluster in a temporary folder and stop it at the end.

    The folder is in memory if there is room, because every new database writes eight megabytes. PostgreSQL refuses to
    run as root, so root runs it as the user that Debian's package creates.
    """
    owner = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="deputy-postgres-", dir=folder_in_memory()))
    if owner is not None:
        shutil.chown(folder, owner)
    port = free_port()
    try:
        _run(owner, binaries / "initdb", "-D", folder / "data", "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-locale")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= {_FORGETFUL}"
        control = (binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-t", "30")
        _run(owner, *control, "-o", options, "start")
        try:
            yield Cluster(f"postgresql+asyncpg://{_USER}@127.0.0.1:{port}", control, owner)
        finally:
            _run(owner, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _run(user: str | None, *command: Path | str) -> None:
    with processes(allowed=True):  # the server is the session's, not one test's
        subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, timeout=60)
