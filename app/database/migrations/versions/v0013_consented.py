"""Google's yes before its proof is called consented, as granted is what is proven."""

from alembic import op

revision = "v0013_consented"
down_revision = "v0012_counted_tries"


def upgrade() -> None:
    """Apply."""
    op.execute("UPDATE consent_links SET state = 'consented' WHERE state = 'granted'")
