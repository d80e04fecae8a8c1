"""Checks `database.url` strictly, and says what to write instead; its messages quote nothing."""

from __future__ import annotations

import re
from difflib import get_close_matches

import sqlalchemy as sa

SQLITE = "sqlite+aiosqlite"
POSTGRESQL = "postgresql+asyncpg"
DRIVERS = (SQLITE, POSTGRESQL, "postgresql+psycopg")

_INSTEAD = {  # schemes that people paste from elsewhere, each with the one that Deputy opens
    **dict.fromkeys(("sqlite", "sqlite3", "sqlite+pysqlite", "file"), SQLITE),
    **dict.fromkeys(
        ("postgres", "postgresql", "pgsql", "postgresql+psycopg2", "postgres+asyncpg", "postgresql+pg8000"), POSTGRESQL
    ),
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._-]*)://", re.ASCII)
# https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1, without what SQLAlchemy would read as another part.
_LOGIN = re.compile(
    r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*(?::(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
_HOST = re.compile(r"(?:[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])?(?::([0-9]{1,5}))?")
_DATABASE = re.compile(r"[^/@:?#\s]+")
_VARIABLE = re.compile(r":\$[A-Za-z_][A-Za-z0-9_]*$")
_EXAMPLE = f"write it like {POSTGRESQL}://user:password@host/database or {SQLITE}:///var/deputy.db"
_ENCODE = (
    "its user or password holds a character that has a meaning in a URL; percent-encode it (@ is %40, : is %3A, / is "
    "%2F, ? is %3F, # is %23, % is %25)"
)


def fault_of(url: str) -> str | None:
    """Return what is wrong with a database URL and what to write instead, or None.

    The answer contains no part of the URL: if a password is not percent-encoded, there is no telling where it ends.
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        return f"this is not a database URL; {_EXAMPLE}"
    if scheme[1] not in DRIVERS:
        return _about_driver(scheme[1].lower())
    rest = url[scheme.end() :]
    return _about_file(rest) if scheme[1] == SQLITE else _about_server(rest)


def described(url: sa.URL) -> str:
    """Return the driver and host, or the file, of a valid URL: enough to find it, and never a login."""
    if url.get_backend_name() == "sqlite":
        return f"{url.drivername} at {url.database}"
    host = url.host or "a local socket"
    return f"{url.drivername} at {host}:{url.port}" if url.port else f"{url.drivername} at {host}"


def _about_driver(scheme: str) -> str:
    if instead := _INSTEAD.get(scheme):
        return f"{scheme}:// has no asynchronous driver; write {instead}:// in its place"
    if close := get_close_matches(scheme, DRIVERS, n=1, cutoff=0.85):
        return f"there is no such driver; did you mean {close[0]}://?"
    return f"Deputy works on SQLite and PostgreSQL; {_EXAMPLE}"


def _about_file(rest: str) -> str | None:
    path, _, _ = rest.partition("?")
    if not rest.startswith("/"):
        return f"a SQLite file has three slashes before a relative path and four before an absolute one; {_EXAMPLE}"
    if path in ("/", "/:memory:") or "mode=memory" in rest:
        return f"in memory nothing survives a restart; name a file, such as {SQLITE}:///var/deputy.db"
    return None


def _about_server(rest: str) -> str | None:
    authority, slash, after = rest.partition("/")
    login, at, place = authority.rpartition("@")
    if any(mark in rest for mark in " \t\r\n#") or "@" in after or not _LOGIN.fullmatch(login):
        return _ENCODE
    if _VARIABLE.search(login):
        return "write ${NAME} for an environment variable; for a password that begins with a dollar sign write %24"
    host = _HOST.fullmatch(place)
    if host is None or (host[2] and not 0 < int(host[2]) < 65536):
        return _ENCODE if ":" in place and not at else f"host or port cannot be read; {_EXAMPLE}"
    database, _, query = after.partition("?")
    if not slash or not _DATABASE.fullmatch(database):
        return f"the name of the database is missing after the host; {_EXAMPLE}"
    if not place and "host=" not in query:
        return f"the host is missing; {_EXAMPLE}"
    return None
