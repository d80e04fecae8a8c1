"""Several Google accounts per person: their names, and which one is used where."""

import sqlalchemy as sa
from alembic import op

revision = "v0004_accounts"
down_revision = "v0003_workspace"


def upgrade() -> None:
    """Apply. Nobody has more than one active grant yet, so that one is their default."""
    op.add_column("grants", sa.Column("alias", sa.String(length=32), nullable=True))
    op.execute("UPDATE grants SET alias = 'main'")
    op.create_table(
        "account_choices",
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("conversation", sa.String(length=512), nullable=False),
        sa.Column("grant_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("platform", "tenant", "user_id", "conversation"),
    )
    op.execute(
        "INSERT INTO account_choices (platform, tenant, user_id, conversation, grant_id) "
        "SELECT platform, tenant, user_id, '', id FROM grants WHERE state = 'active'"
    )
