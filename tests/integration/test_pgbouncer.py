"""Behind PgBouncer Deputy works with pooled sessions, and refuses pooled transactions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.errors import SettingsError
from tests.conftest import lacking
from tests.fakes.databases import Databases
from tests.fakes.ports import free_port

Bouncer = Callable[[str, str], str]


@pytest.fixture
def bouncer() -> Iterator[Bouncer]:
    """Yield a function that puts a PgBouncer in front of a database, and returns the URL to use instead."""
    program = shutil.which("pgbouncer")
    if program is None:
        lacking("PgBouncer", package="pgbouncer")
    with ExitStack() as stack:
        yield lambda url, mode: stack.enter_context(_running(program, url, mode))


@contextmanager
def _running(program: str, url: str, mode: str) -> Iterator[str]:
    behind, port = sa.make_url(url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="deputy-pgbouncer-"))
    folder.chmod(0o755)  # PgBouncer does not run as root, and another user has to read this
    (folder / "users.txt").write_text(f'"{behind.username}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{behind.database} = host={behind.host} port={behind.port} user={behind.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
        f"auth_file = {folder / 'users.txt'}\npool_mode = {mode}\n"
        "ignore_startup_parameters = lock_timeout,extra_float_digits\n"
    )
    user = "nobody" if os.geteuid() == 0 else None
    running = subprocess.Popen(
        [program, folder / "pgbouncer.ini"], user=user, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert running.stderr is not None
        assert any("process up" in line for line in running.stderr)
        yield behind.set(port=port).render_as_string(hide_password=False)
    finally:
        running.terminate()
        running.communicate()
        shutil.rmtree(folder)


@pytest.mark.system
@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_a_pooler_that_changes_sessions_is_refused(databases: Databases, bouncer: Bouncer) -> None:
    """`pool_mode = transaction` stops the start with the setting to use, and `session` works."""
    url = await databases.migrated("pooled")
    with pytest.raises(SettingsError, match="pool_mode = session"):
        await Database(bouncer(url, "transaction")).open()
    sessions = Database(bouncer(url, "session"))
    await sessions.open()
    await sessions.ping()
    await sessions.close()
