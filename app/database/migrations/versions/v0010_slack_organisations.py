"""The organisation of which a Slack installation is part."""

import sqlalchemy as sa
from alembic import op

revision = "v0010_slack_organisations"
down_revision = "v0009_open_messages"


def upgrade() -> None:
    """Apply."""
    op.add_column("slack_installations", sa.Column("organisation", sa.String(length=255), nullable=True))
    op.create_index("ix_slack_installations_organisation", "slack_installations", ["organisation"], unique=False)
