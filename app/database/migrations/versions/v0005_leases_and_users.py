"""Refresh leases, and the people whom Deputy has seen."""

import sqlalchemy as sa
from alembic import op

revision = "v0005_leases_and_users"
down_revision = "v0004_accounts"

# Everybody who has a row; first and last seen when their first and their last row was created.
_EVERYBODY = """
INSERT INTO users (platform, tenant, user_id, first_seen_at, last_seen_at)
SELECT platform, tenant, user_id, min(created_at), max(created_at) FROM (
    SELECT platform, tenant, user_id, created_at FROM messages
    UNION ALL SELECT platform, tenant, user_id, created_at FROM grants
    UNION ALL SELECT platform, tenant, user_id, created_at FROM api_tokens
) AS seen GROUP BY platform, tenant, user_id
"""


def upgrade() -> None:
    """Create the two tables, and add the people who are already known."""
    op.create_table(
        "refresh_leases",
        sa.Column("grant_id", sa.String(length=32), nullable=False),
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("grant_id"),
    )
    op.create_table(
        "users",
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("first_seen_at", sa.Double(), nullable=True),
        sa.Column("last_seen_at", sa.Double(), nullable=True),
        sa.Column("offboarded_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("platform", "tenant", "user_id"),
    )
    op.execute(_EVERYBODY)
