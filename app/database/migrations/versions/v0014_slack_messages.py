"""Slack messages that were stored under an event's id get the id of the message, so that its edits are duplicates."""

from alembic import op

revision = "v0014_slack_messages"
down_revision = "v0013_consented"

_RENAME = """
    UPDATE messages SET event_id = payload
    WHERE platform = 'slack' AND event_id LIKE 'Ev%' AND payload IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM messages AS other
        WHERE other.platform = messages.platform AND other.tenant = messages.tenant AND other.id <> messages.id
        AND (
            other.event_id = messages.payload
            OR other.payload = messages.payload AND (
                other.created_at < messages.created_at
                OR other.created_at = messages.created_at AND other.id < messages.id
            )
        )
    )
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_RENAME)  # of two events about one message, the first takes its id
