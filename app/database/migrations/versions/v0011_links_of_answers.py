"""The id of the consent link that an answer shows, instead of the link's token in the answer's text."""

import sqlalchemy as sa
from alembic import op

revision = "v0011_links_of_answers"
down_revision = "v0010_slack_organisations"


def upgrade() -> None:
    """Apply."""
    op.add_column("messages", sa.Column("link_id", sa.String(length=32), nullable=True))
    # Earlier answers contain unencrypted links, which will have expired when anybody reads them again.
    op.execute("UPDATE messages SET answer = 'The link is over.' WHERE answer LIKE '%/connect/google/%' AND private")
