"""Accounts at other providers than Google: what was there before is Google's."""

import sqlalchemy as sa
from alembic import op

revision = "v0025_providers"
down_revision = "v0024_answer_files"


def upgrade() -> None:
    """Apply."""
    for table in ("consent_links", "quarantined_grants"):
        op.add_column(table, _provider())
    op.add_column("audit_events", sa.Column("provider", sa.String(length=63), nullable=True))
    with op.batch_alter_table("grants") as batch:
        batch.add_column(_provider())
        batch.drop_constraint("uq_grants_subject", type_="unique")
        batch.create_unique_constraint("uq_grants_subject", ["platform", "tenant", "user_id", "provider", "subject"])
    op.rename_table("account_choices", "former_choices")
    op.create_table(
        "account_choices",
        sa.Column("platform", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("conversation", sa.String(length=512), nullable=False),
        _provider(),
        sa.Column("grant_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("platform", "tenant", "user_id", "conversation", "provider"),
    )
    columns = "platform, tenant, user_id, conversation, grant_id"
    op.execute(f"INSERT INTO account_choices ({columns}) SELECT {columns} FROM former_choices")  # noqa: S608 - constants
    op.drop_table("former_choices")


def _provider() -> sa.Column[str]:
    return sa.Column("provider", sa.String(length=63), nullable=False, server_default="google")
