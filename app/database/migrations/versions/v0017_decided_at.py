"""When a person decided on an approval, so that a code that comes again can be answered with it."""

import sqlalchemy as sa
from alembic import op

revision = "v0017_decided_at"
down_revision = "v0016_attachments"


def upgrade() -> None:
    """Apply."""
    op.add_column("approvals", sa.Column("decided_at", sa.Double(), nullable=True))
