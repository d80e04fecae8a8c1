"""Statements and conditions about a message's row that several modules need."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.database.tables import messages, principal_of
from app.database.transition import changing
from app.delivery.store.lease import FREE
from app.messages import ConversationKey, MessageState, StoredMessage


def leaving(message: StoredMessage, state: MessageState, now: float, **values: object) -> sa.Update:
    """Return the change that ends a running message's attempt; it matches no row if the message was overtaken."""
    return changing(
        messages,
        messages.c.id == message.message_id,
        MessageState.RUNNING,
        state,
        fence=messages.c.attempt == message.attempt,
        changed_at=now,
        replied_at=None,
        **FREE,
        **values,
    )


def of_conversation(conversation: ConversationKey, table: sa.FromClause = messages) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to a conversation."""
    return sa.and_(
        table.c.platform == conversation.platform,
        table.c.tenant == conversation.tenant,
        table.c.conversation == conversation.conversation,
    )


def stored(row: sa.Row[Any]) -> StoredMessage:
    """Return the message of a complete row."""
    return StoredMessage(
        message_id=row.id,
        principal=principal_of(row),
        conversation=row.conversation,
        sequence=row.sequence,
        text=row.body,
        address=row.address,
        state=MessageState(row.state),
        attempt=row.attempt,
        interruptions=row.interruptions,
        failures=row.failures,
        answer=row.answer,
        link_id=row.link_id,
        private=row.private,
        created_at=row.created_at,
    )
