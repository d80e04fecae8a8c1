"""Questions that tools ask in the middle of a call, and their answers."""

import sqlalchemy as sa
from alembic import op

revision = "v0027_questions"
down_revision = "v0026_discovered_clients"


def upgrade() -> None:
    """Apply."""
    op.add_column("approvals", sa.Column("form", sa.Text, nullable=True))
    op.add_column("approvals", sa.Column("answer", sa.Text, nullable=True))
