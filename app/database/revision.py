"""The schema's revision: of a database, and of this version of Deputy."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_CURRENT = sa.text("SELECT version_num FROM alembic_version")


def newest() -> str:
    """Return the revision that this version needs. Each migration's module has its revision's name, and they sort."""
    return max(path.stem for path in _VERSIONS.glob("v[0-9]*.py"))


def revisions(connection: sa.Connection) -> tuple[str | None, str]:
    """Return the revision that the database is at, None for an empty one, and the newest one."""
    is_there = sa.inspect(connection).has_table("alembic_version")
    present: str | None = connection.scalar(_CURRENT) if is_there else None
    return present, newest()


def upgrade(connection: sa.Connection) -> None:
    """Run every migration that this database lacks, inside the connection's transaction; raises as `migrate.upgrade`.

    Alembic is imported only if there is one to run: it takes a tenth of the time that a server needs to start.
    """
    present, needed = revisions(connection)
    if present != needed:
        from app.database import migrate

        migrate.upgrade(connection)
