"""The verified address of an HTTP token's person."""

import sqlalchemy as sa
from alembic import op

revision = "v0003_workspace"
down_revision = "v0002_linking"


def upgrade() -> None:
    """Apply."""
    op.add_column("api_tokens", sa.Column("email", sa.String(length=320), nullable=True))
