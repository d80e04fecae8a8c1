"""Statements and conditions about a message's row that several modules need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.prepared import Columns, Prepared
from app.database.tables import messages, of_person, principal_of
from app.database.transition import changing
from app.delivery.store.attachments import load
from app.delivery.store.lease import FREE
from app.messages import ConversationKey, MessageState, StoredMessage
from app.sent_files import load_files


async def leave(
    connection: AsyncConnection, message: StoredMessage, state: MessageState, now: float, **values: object
) -> bool:
    """End a running message's attempt with these values; return False if the message was overtaken.

    Args:
        connection: The caller's transaction.
        message: The message as it was begun.
        state: Its new state.
        now: The time, POSIX seconds.
        values: Changes made along with the state, by column.
    """
    given = leaving_with(message, now, values)
    return (await _prepared_leaving(state, (*values,)).execute(connection, given)).rowcount == 1


@cache
def _prepared_leaving(state: MessageState, names: tuple[str, ...]) -> Prepared:
    return Prepared(leaving(state, names))


def leaving_with(message: StoredMessage, now: float, values: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters of `leaving`, for a message as it was begun."""
    given = {f"new_{name}": value for name, value in values.items()}
    return given | {"of_message": message.message_id, "of_attempt": message.attempt, "now": now}


@cache
def leaving(state: MessageState, names: tuple[str, ...]) -> sa.Update:
    """Return the statement that ends a running message's attempt, which is made once: every message costs one.

    Args:
        state: The new state.
        names: The other columns that change.
    """
    return changing(
        messages,
        messages.c.id == sa.bindparam("of_message"),
        MessageState.RUNNING,
        state,
        fence=messages.c.attempt == sa.bindparam("of_attempt"),
        changed_at=sa.bindparam("now", type_=sa.Double),
        replied_at=None,
        **FREE,
        **{name: sa.bindparam(f"new_{name}", type_=messages.c[name].type) for name in names},
    )


@cache
def erasing(table: sa.Table) -> Prepared:
    """Return the statement that deletes what a table holds of the message with the id `of_message`."""
    return Prepared(table.delete().where(table.c.message_id == sa.bindparam("of_message")))


ONE_OF_PERSON = Prepared(sa.select(messages).where(of_person(messages), messages.c.id == sa.bindparam("of_message")))
"""The message `of_message` of the person whom `whose` gives."""


def of_conversation(table: sa.FromClause = messages) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to the conversation that `naming` gives as parameters."""
    return sa.and_(
        *(
            table.c[name] == sa.bindparam(f"of_{name}", type_=table.c[name].type)
            for name in ("platform", "tenant", "conversation")
        )
    )


def is_due(table: sa.FromClause, now: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    """Return the condition that a row does not wait for another try."""
    return sa.or_(table.c.next_try_at.is_(None), table.c.next_try_at <= now)


def has_contents() -> sa.ColumnElement[bool]:
    """Return the condition that a message has not been erased: none that was accepted has neither text nor a file."""
    return sa.or_(messages.c.body != "", messages.c.attachments.is_not(sa.null()))


def naming(conversation: ConversationKey) -> dict[str, str]:
    """Return the parameters of a statement with `of_conversation` in it."""
    return {
        "of_platform": conversation.platform,
        "of_tenant": conversation.tenant,
        "of_conversation": conversation.conversation,
    }


def stored(row: Columns) -> StoredMessage:
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
        attachments=load(row.attachments),
        notes=row.notes,
        files=load_files(row.files),
    )
