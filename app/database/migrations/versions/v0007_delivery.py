"""Delivery: leases, backoff, the outbox, writes that have begun, and the processes that work on this database."""

import sqlalchemy as sa
from alembic import op

revision = "v0007_delivery"
down_revision = "v0006_keys_and_workspaces"


def _principal() -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.String(length=255), nullable=False) for name in ("platform", "tenant", "user_id"))


def _message_id() -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    column = sa.Column("message_id", sa.String(length=32), nullable=False)
    return column, sa.ForeignKeyConstraint(["message_id"], ["messages.id"], ondelete="CASCADE")


def upgrade() -> None:
    """Apply. Replies that an older version had not sent are put into the outbox, so that the new sender sends them."""
    for column in (
        sa.Column("lease_holder", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("last_error", sa.String(length=64), nullable=True),
        sa.Column("next_try_at", sa.Double(), nullable=True),
        sa.Column("payload", sa.String(length=512), nullable=True),
    ):
        op.add_column("messages", column)
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=32), nullable=False),
        *_principal(),
        sa.Column("conversation", sa.String(length=512), nullable=False),
        *_message_id(),
        sa.Column("message_state", sa.String(length=16), nullable=False),
        sa.Column("message_attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=64), nullable=True),
        sa.Column("next_try_at", sa.Double(), nullable=True),
        sa.Column("lease_holder", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_conversation", "outbox", ["platform", "tenant", "conversation", "state"])
    op.create_index("ix_outbox_state", "outbox", ["state", "next_try_at"])
    op.create_index("ix_outbox_message", "outbox", ["message_id"])
    op.create_table(
        "begun_writes",
        sa.Column("id", sa.String(length=32), nullable=False),
        *_principal(),
        *_message_id(),
        sa.Column("tool", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_begun_writes_message", "begun_writes", ["message_id"])
    op.create_table(
        "replicas",
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=32), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("holder"),
    )
    op.execute(
        "INSERT INTO outbox (id, platform, tenant, user_id, conversation, message_id, message_state, message_attempt,"
        " state, tries, created_at) SELECT id, platform, tenant, user_id, conversation, id, state, attempt, 'waiting',"
        " 0, changed_at FROM messages WHERE replied_at IS NULL AND state IN ('done', 'failed', 'parked')"
    )
