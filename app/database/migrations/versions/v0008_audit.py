"""The append-only audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "v0008_audit"
down_revision = "v0007_delivery"

_POSTGRESQL = (
    """CREATE FUNCTION refuse_change_of_audit_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'audit_events can only be added to'; END $$""",
    """CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_events()""",
    # A replica's role would else skip the trigger: https://www.postgresql.org/docs/current/sql-altertable.html
    "ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_stay",
)
_REFUSE = "SELECT RAISE(ABORT, 'audit_events can only be added to')"
_SQLITE = (
    f"CREATE TRIGGER audit_events_stay_update BEFORE UPDATE ON audit_events BEGIN {_REFUSE}; END",
    f"CREATE TRIGGER audit_events_stay_delete BEFORE DELETE ON audit_events BEGIN {_REFUSE}; END",
    # INSERT OR REPLACE deletes past the trigger above, unless recursive_triggers is on.
    f"""CREATE TRIGGER audit_events_stay_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE number = NEW.number) BEGIN {_REFUSE}; END""",  # noqa: S608 - constants only
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_events",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=False),
            nullable=False,
        ),
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=True),
        sa.Column("tool_call", sa.String(length=32), nullable=True),
        sa.Column("tool", sa.String(length=255), nullable=True),
        sa.Column("credential", sa.String(length=320), nullable=True),
        sa.Column("method", sa.String(length=255), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index(
        "ix_audit_events_principal", "audit_events", ["platform", "tenant", "user_id", "number"], unique=False
    )
    op.create_index("ix_audit_events_message", "audit_events", ["message_id"], unique=False)
    for statement in _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)
