"""`database.url` is read strictly, and no part of a login is ever shown."""

from __future__ import annotations

import itertools
import sqlite3

import asyncpg
import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.database.reach import reason, share_sessions, unreachable
from app.database.url import described, fault_of
from app.errors import SettingsError
from tests.fakes.leaks import everything_in

SPECIAL = "@:/?#[]%+& $\\\"'<>^`{|}é"


def urls() -> list[tuple[str, tuple[str, ...]]]:
    """Return URLs whose password holds a special character, each with the parts that must not be shown."""
    places = ("CANARY{}ZEBRA", "{}CANARYZEBRA", "CANARYZEBRA{}", "12{}CANARYZEBRA", "CANARY{0}ZEB{0}RA", "p{}12")
    return [
        (f"postgresql+{driver}://deputy:{password}@db.example:5432/deputy", tuple(password.split(mark)))
        for driver, mark, place in itertools.product(("asyncpg", "psycopg"), SPECIAL, places)
        if (password := place.format(mark))
    ]


@pytest.mark.parametrize(("url", "parts"), urls())
def test_no_part_of_a_password_is_shown(url: str, parts: tuple[str, ...]) -> None:
    """A password is refused or understood as a whole, and neither repr nor error shows any part of it."""
    try:
        database = Database(url)
    except SettingsError as error:
        shown = everything_in(error)
    else:
        shown = f"{database!r} {unreachable(database.url, ConnectionRefusedError(111, url))}"
        assert database.url.host == "db.example"
        assert database.url.password == sa.make_url(url).password
    assert not any(part in shown for part in parts if len(part) > 2)
    assert "percent-encode" in shown or "${NAME}" in shown or "Database(" in shown


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgres://u:p@h/d", "write postgresql+asyncpg:// in its place"),
        ("postgresql://u:p@h/d", "write postgresql+asyncpg:// in its place"),
        ("postgresql+psycopg2://u:p@h/d", "write postgresql+asyncpg:// in its place"),
        ("sqlite:///var/deputy.db", "write sqlite+aiosqlite:// in its place"),
        ("postgresql+asyncgp://u:p@h/d", "did you mean postgresql+asyncpg://?"),
        ("mysql+aiomysql://u:p@h/d", "Deputy works on SQLite and PostgreSQL"),
        ("var/deputy.db", "this is not a database URL"),
        ("sqlite+aiosqlite://var/deputy.db", "three slashes before a relative path"),
        ("sqlite+aiosqlite:///:memory:", "in memory nothing survives a restart"),
        ("sqlite+aiosqlite:///file:x?mode=memory&uri=true", "in memory nothing survives a restart"),
        ("postgresql+asyncpg://u:p@h", "the name of the database is missing"),
        ("postgresql+asyncpg://u:p@h/", "the name of the database is missing"),
        ("postgresql+asyncpg://u:p@/d", "the host is missing"),
        ("postgresql+asyncpg://u:p@h:99999/d", "host or port cannot be read"),
        ("postgresql+asyncpg://u:$DB_PASSWORD@h/d", "write ${NAME}"),
        ("postgresql+asyncpg://u:p@ss/w%3Ard@h/d", "percent-encode"),
    ],
)
def test_what_to_write_instead_is_told(url: str, told: str) -> None:
    """Each URL that cannot work is answered with what to write instead."""
    assert told in (fault_of(url) or "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite+aiosqlite:///var/deputy.db", "sqlite+aiosqlite at var/deputy.db"),
        ("sqlite+aiosqlite:////srv/deputy.db?timeout=3", "sqlite+aiosqlite at /srv/deputy.db"),
        ("postgresql+asyncpg://deputy@db/deputy", "postgresql+asyncpg at db"),
        ("postgresql+asyncpg://u:p%40ss%2Fw@[::1]:5432/d?password=CANARY", "postgresql+asyncpg at ::1:5432"),
        ("postgresql+psycopg://u:p@10.0.0.1/d", "postgresql+psycopg at 10.0.0.1"),
        ("postgresql+asyncpg://u:p@/d?host=/run/postgresql", "postgresql+asyncpg at a local socket"),
    ],
)
def test_driver_and_host_are_shown(url: str, shown: str) -> None:
    """Only the driver and the host of an accepted URL are shown."""
    assert fault_of(url) is None
    assert described(sa.make_url(url)) == shown


def _sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("CANARY")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_sqlite(sqlite3.SQLITE_BUSY), "locked"),
        (_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), "locked"),
        (_sqlite(sqlite3.SQLITE_READONLY_DBMOVED), "read-only"),
        (_sqlite(sqlite3.SQLITE_FULL), "the disk is full"),
        (asyncpg.InvalidPasswordError("for user CANARY"), "refuses the user or the password"),
        (asyncpg.InvalidCatalogNameError("CANARY"), "no database of this name"),
        (asyncpg.ProtocolViolationError("CANARY"), "PgBouncer"),
        (ConnectionRefusedError(111, "CANARY"), "nothing listens"),
        (TimeoutError("CANARY"), "does not answer"),
        (RuntimeError("CANARY"), "RuntimeError"),
    ],
)
def test_a_drivers_own_words_are_not_repeated(error: Exception, told: str) -> None:
    """A driver's error, which may quote the user, the URL or a value, is reported in Deputy's own words."""
    wrapped = sa.exc.OperationalError("SELECT CANARY", {"a": "CANARY"}, error)

    for each in (error, wrapped):
        assert told in reason(each)
        assert "CANARY" not in reason(each)


@pytest.mark.parametrize(
    ("one", "other", "shared"), [({1}, {2}, False), ({1}, {1}, True), ({1, 2}, {3}, True), ({1, 2}, {2, 1}, True)]
)
def test_sessions_that_are_shared_are_noticed(one: set[int], other: set[int], shared: bool) -> None:
    """Two connections that are open at once have different backends, unless a pooler shares them."""
    assert share_sessions(one, other) is shared
