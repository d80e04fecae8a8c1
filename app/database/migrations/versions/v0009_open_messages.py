"""At most one running message per conversation, enforced by the database; and an index of open messages."""

import sqlalchemy as sa
from alembic import op

revision = "v0009_open_messages"
down_revision = "v0008_audit"

_RUNNING, _OPEN = sa.text("state = 'running'"), sa.text("state IN ('new', 'running')")


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "uq_messages_running",
        "messages",
        ["platform", "tenant", "conversation"],
        unique=True,
        postgresql_where=_RUNNING,
        sqlite_where=_RUNNING,
    )
    op.create_index(
        "ix_messages_open",
        "messages",
        ["platform", "tenant", "conversation", "sequence"],
        unique=False,
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    )
