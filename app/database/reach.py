"""Explains why the database cannot be reached, in one line that quotes neither the driver nor the URL."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path

import sqlalchemy as sa

from app.database import postgresql
from app.database.url import described
from app.errors import SettingsError

OWNER_ONLY = 0o600
_LOOKS = 3
_BACKEND = sa.text("SELECT pg_backend_pid()")

_SQLITE = {  # https://www.sqlite.org/rescode.html
    sqlite3.SQLITE_BUSY: "another process has locked the file; stop what holds it, or try again",
    sqlite3.SQLITE_LOCKED: "another process has locked the file; stop what holds it, or try again",
    sqlite3.SQLITE_READONLY: "the file is read-only; let the user that Deputy runs as write it",
    sqlite3.SQLITE_FULL: "the disk is full; make room on it",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; let the user that Deputy runs as write it and its folder",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database; name another file",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_IOERR: "the disk reports an error; check it",
    sqlite3.SQLITE_PERM: "the file may not be opened; let the user that Deputy runs as write it",
}
_POSTGRESQL = {  # by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    "28P01": "it refuses the user or the password",
    "28000": "it does not let this user in from here; check its pg_hba.conf",
    "3D000": "it has no database of this name; create it first",
    "42501": "the user lacks a permission; let it create tables in its database",
    "53300": "it has no connections left; raise its max_connections",
    "57P03": "it is starting or stopping; try again",
    "25006": "it is read-only, perhaps a standby; name the primary",
    "53100": "its disk is full",
    "08P01": (
        "it refuses a parameter that Deputy sets; with PgBouncer set pool_mode = session and "
        "ignore_startup_parameters = lock_timeout,extra_float_digits"
    ),
}


def make_private(file: Path) -> None:
    """Create the file and its folder if they are missing; only their owner can read the file.

    SQLite gives its journal the mode of the file: https://www.sqlite.org/src/file/src/os_unix.c (findCreateFileMode).
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, OWNER_ONLY))
    elif file.stat().st_uid == os.geteuid() and file.stat().st_mode & 0o077:
        file.chmod(OWNER_ONLY)


def unreachable(url: sa.URL, error: BaseException) -> SettingsError:
    """Return the error that says which database cannot be used, why, and what to do."""
    return SettingsError(f"database.url: {described(url)} cannot be used: {reason(error)}")


def reason(error: BaseException) -> str:
    """Return why a database fails, in our own words: a driver's text may quote a URL, a user or a value."""
    for cause in _causes(error):
        if isinstance(cause, sqlite3.Error):
            return _SQLITE.get((getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF, "SQLite reports an error")
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return _POSTGRESQL.get(state, f"it reports the error {state}")
        if isinstance(cause, socket.gaierror):
            return "its host name is not known; check its spelling and the network"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there; start the database, or check host and port"
        if isinstance(cause, TimeoutError | ConnectionError):
            return "it does not answer; check host, port and firewall"
        if isinstance(cause, TypeError):
            return "its driver does not know a parameter after the ?"
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror[:1].lower()}{cause.strerror[1:]}; check its path and its permissions"
    return f"its driver reports {type(list(_causes(error))[-1]).__name__}"


def is_database_failure(error: BaseException) -> bool:
    """Return whether an error comes from the database: locked, full, read-only or unreachable."""
    return isinstance(error, sa.exc.DBAPIError | sa.exc.TimeoutError)


async def refuse_transaction_pooling(url: sa.URL) -> None:
    """Check that each connection has its own session.

    A pooler that assigns a session to each transaction, such as PgBouncer with ``pool_mode = transaction``, loses
    advisory locks, LISTEN and prepared statements: Deputy would start and then fail. Behind such a pooler, two
    connections that are open at once have the same backend.

    Raises:
        SettingsError: The database is behind such a pooler.
    """
    async with AsyncExitStack() as stack:
        connections = [
            await (await stack.enter_async_context(postgresql.own_connection(url))).execution_options(
                isolation_level="AUTOCOMMIT"
            )
            for _ in range(2)
        ]
        backends: list[set[int]] = [set(), set()]
        for _ in range(_LOOKS):
            for connection, seen in zip(connections, backends, strict=True):
                seen.add(int(await connection.scalar(_BACKEND) or 0))
        if share_sessions(*backends):
            raise SettingsError(
                f"database.url: {described(url)} is a pooler that changes sessions with every transaction; set "
                "pool_mode = session in PgBouncer, or name PostgreSQL itself"
            )


def share_sessions(one: set[int], other: set[int]) -> bool:
    """Return whether two connections that were open at once used a pooler's shared sessions.

    Args:
        one: The backends that answered the first connection.
        other: The backends that answered the second.
    """
    return len(one) > 1 or len(other) > 1 or bool(one & other)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and its causes, the driver's own error last."""
    found: list[BaseException] = [error]
    while True:
        last = found[-1]
        inner: BaseException | None = last.orig if isinstance(last, sa.exc.DBAPIError) else None
        inner = inner or last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if inner is None or inner in found:
            return found
        found.append(inner)
