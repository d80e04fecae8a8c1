"""Which process asks a platform for messages, where only one may."""

import sqlalchemy as sa
from alembic import op

revision = "v0019_poll_leases"
down_revision = "v0018_person_rates"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "poll_leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(100), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
