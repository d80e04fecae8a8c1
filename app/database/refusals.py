"""Changes that SQLite refuses because the file is locked, read-only or full: remembered until one succeeds again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

BUSY_SECONDS = 2.0  # how long a change waits for another process; Slack waits 3 seconds for an acknowledgement
_PRIMARY = 0xFF  # the part of an extended result code that is the kind: https://www.sqlite.org/rescode.html
_KINDS = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
    }
)
# Takes new pages, so that a full disk shows, and leaves nothing behind.
_TRIAL = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE deputy_trial (filler BLOB)",
    "INSERT INTO deputy_trial VALUES (zeroblob(65536))",
    "DROP TABLE deputy_trial",
    "COMMIT",
)


class Refusals:
    """Remembers the last refused change of a file; lives as long as its `Database`.

    Changes that queued behind one that found the file locked are refused with it. Otherwise each would wait in turn,
    and the last of a hundred for minutes.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._code: int | None = None
        self._refused_at = 0.0

    @property
    def any(self) -> bool:
        """Return whether a change was refused, and no trial has succeeded since."""
        return self._code is not None

    @contextmanager
    def noted(self) -> Iterator[Callable[[], None]]:
        """Remember a refusal inside the context; yields a check that raises if the queue ahead has met a locked file.

        Raises:
            sqlalchemy.exc.OperationalError: The file is locked.
        """
        arrived = self._now()

        def check() -> None:
            if self._code == sqlite3.SQLITE_BUSY and self._refused_at >= arrived:
                raise sa.exc.OperationalError("BEGIN IMMEDIATE", None, _error(sqlite3.SQLITE_BUSY))

        try:
            yield check
        except sa.exc.OperationalError as error:
            code = (getattr(error.orig, "sqlite_errorcode", None) or 0) & _PRIMARY
            if code in _KINDS:
                self._code, self._refused_at = code, self._now()
            raise

    def try_again(self, driver: sqlite3.Connection) -> None:
        """Make a change that leaves nothing behind, and forget the refusal if it succeeds. Blocks.

        Raises:
            sqlalchemy.exc.OperationalError: The file still refuses changes.
        """
        try:
            driver.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
            for statement in _TRIAL:
                driver.execute(statement)
        except sqlite3.OperationalError as error:
            if driver.in_transaction:
                driver.execute("ROLLBACK")
            raise sa.exc.OperationalError("a trial", None, _error(error.sqlite_errorcode)) from None
        finally:
            driver.execute("PRAGMA busy_timeout=0")
        self._code = None


def _error(code: int) -> sqlite3.OperationalError:
    """Return an error with this result code, which has no frames that keep anything alive."""
    error = sqlite3.OperationalError("the file refuses changes")
    error.sqlite_errorcode = code
    return error
