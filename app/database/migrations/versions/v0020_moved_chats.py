"""The groups whose platform gave them another id."""

import sqlalchemy as sa
from alembic import op

revision = "v0020_moved_chats"
down_revision = "v0019_poll_leases"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "moved_chats",
        sa.Column("platform", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("chat", sa.String(64), primary_key=True),
        sa.Column("first_chat", sa.String(64), nullable=False),
    )
