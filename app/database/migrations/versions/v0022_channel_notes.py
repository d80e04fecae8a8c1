"""What a channel notes about the reply that it is showing."""

import sqlalchemy as sa
from alembic import op

revision = "v0022_channel_notes"
down_revision = "v0021_moved_chats"


def upgrade() -> None:
    """Apply."""
    op.add_column("messages", sa.Column("notes", sa.JSON(none_as_null=True), nullable=True))
