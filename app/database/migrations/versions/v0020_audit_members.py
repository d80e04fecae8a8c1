"""Which member of a team called a tool."""

import sqlalchemy as sa
from alembic import op

revision = "v0020_audit_members"
down_revision = "v0019_poll_leases"


def upgrade() -> None:
    """Apply."""
    op.add_column("audit_events", sa.Column("member", sa.String(63), nullable=True))
