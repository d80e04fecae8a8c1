"""Quarantined grants, and the purpose of a consent link."""

import sqlalchemy as sa
from alembic import op

revision = "v0002_linking"
down_revision = "0001"


def upgrade() -> None:
    """Apply. Existing links are assumed to have been asked for in a direct chat."""
    place = sa.Column("place", sa.String(length=16), nullable=False, server_default="direct")
    op.add_column("consent_links", place)
    op.add_column("consent_links", sa.Column("widens", sa.String(length=255), nullable=True))
    op.add_column("consent_links", sa.Column("alias", sa.String(length=32), nullable=True))
    op.create_table(
        "quarantined_grants",
        sa.Column("link_id", sa.String(length=32), nullable=False),
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("granted_scopes", sa.Text(), nullable=False),
        sa.Column("sealed_tokens", sa.Text(), nullable=False),
        sa.Column("sealed_proof", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("link_id"),
    )
    op.create_index(
        "ix_quarantined_grants_principal", "quarantined_grants", ["platform", "tenant", "user_id"], unique=False
    )
    op.create_index("ix_quarantined_grants_subject", "quarantined_grants", ["subject"], unique=False)
