"""Brings the schema up to date with Alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from app.database.revision import revisions
from app.errors import SettingsError


def upgrade(connection: sa.Connection) -> None:
    """Run every migration that this database lacks, inside the connection's transaction.

    If several processes start at once, they migrate one after the other: on SQLite the transaction holds the write
    lock, on PostgreSQL the migration lock (app/database/migration_lock.py).

    Raises:
        SettingsError: A newer version has migrated this database.
    """
    try:
        command.upgrade(config(connection), "head")
    except CommandError:
        present, needed = revisions(connection)
        raise SettingsError(
            f"the database is at revision {present}, which this version does not know; it needs {needed}. "
            "Run the version of Deputy that migrated it"
        ) from None


def config(connection: sa.Connection) -> Config:
    """Return Alembic's configuration for one connection; there is no alembic.ini."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings
