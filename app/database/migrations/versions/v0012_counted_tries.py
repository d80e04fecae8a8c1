"""Which messages held the wrong codes that a sign-in has counted."""

import sqlalchemy as sa
from alembic import op

revision = "v0012_counted_tries"
down_revision = "v0011_links_of_answers"


def upgrade() -> None:
    """Apply."""
    op.add_column("quarantined_grants", sa.Column("tried_by", sa.Text(), nullable=False, server_default=""))
