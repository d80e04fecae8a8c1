"""Authorization servers that MCP servers name themselves, and Deputy's client at each."""

import sqlalchemy as sa
from alembic import op

revision = "v0026_discovered_clients"
down_revision = "v0025_providers"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "discovered_clients",
        sa.Column("server", sa.String(64), primary_key=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("authentication", sa.String(16), nullable=False),
        sa.Column("sealed_secret", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=True),
        sa.Column("lease_holder", sa.String(128), nullable=True),
        sa.Column("lease_until", sa.Double, nullable=True),
    )
