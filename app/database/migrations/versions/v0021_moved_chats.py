"""The groups whose platform gave them another id."""

import sqlalchemy as sa
from alembic import op

revision = "v0021_moved_chats"
down_revision = "v0020_audit_members"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "moved_chats",
        sa.Column("platform", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("chat", sa.String(64), primary_key=True),
        sa.Column("first_chat", sa.String(64), nullable=False),
    )
