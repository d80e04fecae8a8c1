"""Sealed verifiers of API tokens, proofs of the keys, and Slack installations."""

import sqlalchemy as sa
from alembic import op

revision = "v0006_keys_and_workspaces"
down_revision = "v0005_leases_and_users"


def upgrade() -> None:
    """Apply."""
    # Only the key ring can bind a token to its person, so earlier tokens are no longer valid; issue new ones.
    op.execute("DELETE FROM api_tokens")
    op.add_column("api_tokens", sa.Column("sealed_verifier", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "key_checks",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "slack_installations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("bot_user", sa.String(length=64), nullable=False),
        sa.Column("bot_scopes", sa.Text(), nullable=False),
        sa.Column("installed_by", sa.String(length=64), nullable=False),
        sa.Column("sealed_bot_token", sa.Text(), nullable=False),
        sa.Column("installed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workspace"),
    )
    op.create_table(
        "slack_installs_begun",
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("cookie_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash"),
    )
