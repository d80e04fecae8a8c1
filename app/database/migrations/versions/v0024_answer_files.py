"""The files that go with an answer, by reference."""

import sqlalchemy as sa
from alembic import op

revision = "v0024_answer_files"
down_revision = "v0023_mcp_pins"


def upgrade() -> None:
    """Apply."""
    op.add_column("messages", sa.Column("files", sa.JSON, nullable=True))
