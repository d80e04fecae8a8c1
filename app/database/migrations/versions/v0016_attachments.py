"""The files that come with a message, by reference."""

import sqlalchemy as sa
from alembic import op

revision = "v0016_attachments"
down_revision = "v0015_former_accounts"


def upgrade() -> None:
    """Apply."""
    op.add_column("messages", sa.Column("attachments", sa.JSON(none_as_null=True), nullable=True))
