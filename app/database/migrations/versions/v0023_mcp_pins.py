"""What MCP servers say of their tools, as it was first seen and as it is now."""

import sqlalchemy as sa
from alembic import op

revision = "v0023_mcp_pins"
down_revision = "v0022_channel_notes"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "mcp_pins",
        sa.Column("server", sa.String(64), primary_key=True),
        sa.Column("tool", sa.String(128), primary_key=True),
        sa.Column("accepted", sa.Text, nullable=False),
        sa.Column("changed_to", sa.Text, nullable=True),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
