"""How many messages each person may send for now, where the settings limit it."""

import sqlalchemy as sa
from alembic import op

revision = "v0018_person_rates"
down_revision = "v0017_decided_at"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "person_rates",
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("free_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "tenant", "user_id"),
    )
