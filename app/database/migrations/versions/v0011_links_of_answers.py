"""The consent link that an answer shows, in place of its token in the answer's text."""

import sqlalchemy as sa
from alembic import op

revision = "v0011_links_of_answers"
down_revision = "v0010_slack_organisations"


def upgrade() -> None:
    """Apply."""
    op.add_column("messages", sa.Column("link_id", sa.String(length=32), nullable=True))
    # What was stored before holds links in the clear; their time is over by the time that anybody reads it again.
    op.execute("UPDATE messages SET answer = 'The link is over.' WHERE answer LIKE '%/connect/google/%' AND private")
