"""The addresses of accounts that were disconnected, which the audit trail names by their grants' ids."""

import sqlalchemy as sa
from alembic import op

revision = "v0015_former_accounts"
down_revision = "v0014_slack_messages"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "former_accounts",
        sa.Column("grant_id", sa.String(length=32), nullable=False),
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("sealed_email", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("grant_id"),
    )
