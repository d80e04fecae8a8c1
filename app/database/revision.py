"""The revision of the schema: the database's, and the one that this version of Deputy needs."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from app.database.new_file import create

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_CURRENT = sa.text("SELECT version_num FROM alembic_version")


def newest() -> str:
    """Return the revision that this version needs. Each migration's module has its revision's name, and they sort."""
    return max(path.stem for path in _VERSIONS.glob("v[0-9]*.py"))


def revisions(connection: sa.Connection) -> tuple[str | None, str]:
    """Return the database's revision, None for an empty one, and the newest revision."""
    is_there = sa.inspect(connection).has_table("alembic_version")
    present: str | None = connection.scalar(_CURRENT) if is_there else None
    return present, newest()


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema up to date, inside the connection's transaction; raises as `migrate.upgrade`.

    Alembic is imported only if a migration has to run, because importing it takes a tenth of a server's start-up.
    """
    present, needed = revisions(connection)
    if present is None and connection.dialect.name == "sqlite":
        create(connection, needed)
    elif present != needed:
        from app.database import migrate

        migrate.upgrade(connection)
