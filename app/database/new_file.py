"""The schema of a new SQLite file, made at once: to import Alembic and run all migrations takes a third of a second."""

from __future__ import annotations

import sqlalchemy as sa

from app.database.tables import metadata

_VERSION = sa.Table(  # Alembic's own
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_REFUSE = "BEGIN SELECT RAISE(ABORT, 'audit_events can only be added to'); END"
_TRIGGERS = (  # as in migrations/versions/v0008_audit.py
    f"CREATE TRIGGER audit_events_stay_update BEFORE UPDATE ON audit_events {_REFUSE}",
    f"CREATE TRIGGER audit_events_stay_delete BEFORE DELETE ON audit_events {_REFUSE}",
    f"""CREATE TRIGGER audit_events_stay_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE number = NEW.number) {_REFUSE}""",  # noqa: S608 - constants only
)


def create(connection: sa.Connection, revision: str) -> None:
    """Make every table, as all migrations together make them, inside the connection's transaction.

    Args:
        connection: To a SQLite file without a revision.
        revision: The newest one.
    """
    metadata.create_all(connection, checkfirst=False)
    for trigger in _TRIGGERS:
        connection.exec_driver_sql(trigger)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(_VERSION.insert().values(version_num=revision))
