"""Storing a reply that is owed: waiting ─► sent | obsolete | given_up."""

from __future__ import annotations

import uuid
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa

from app.database.prepared import Prepared
from app.database.tables import outbox, owner
from app.delivery.store.lease import FREE, taken
from app.messages import MessageState, StoredMessage

_OWED = (*("id", "platform", "tenant", "user_id", "conversation", "message_id", "message_state", "message_attempt"),)


class ReplyState(StrEnum):
    """The state of a reply."""

    WAITING = "waiting"
    SENT = "sent"
    OBSOLETE = "obsolete"  # the message changed again before the reply was sent
    GIVEN_UP = "given_up"


def owed(message: StoredMessage, state: MessageState) -> dict[str, object]:
    """Return a new reply about the state of a message in its present attempt, by column."""
    return {
        "id": uuid.uuid4().hex,
        **owner(message.principal),
        "conversation": message.conversation,
        "message_id": message.message_id,
        "message_state": state,
        "message_attempt": message.attempt,
    }


@cache
def owing(time: sa.ColumnElement[float], *, held: bool) -> Prepared:
    """Return the statement that stores what `owed` returns.

    Args:
        time: The time of the lease that it is given.
        held: The reply is leased to this process.
    """
    return Prepared(outbox.insert().values(_fixed(time, held=held)), _OWED)


def owing_beside(ended: sa.CTE, time: sa.ColumnElement[float]) -> sa.Insert:
    """Return the statement that stores a reply, held by this process, if there is a row in `ended`.

    Its parameters are the lease's, and what `owed` returns, with ``reply_`` before each name.
    """
    values: dict[str, sa.ColumnElement[Any]] = {
        name: sa.bindparam(f"reply_{name}", type_=outbox.c[name].type) for name in _OWED
    }
    values |= {
        name: value if isinstance(value, sa.ColumnElement) else sa.literal(value, outbox.c[name].type)
        for name, value in _fixed(time, held=True).items()
    }
    row = sa.select(*values.values()).select_from(ended)
    return outbox.insert().from_select([*values], row, include_defaults=False)


def _fixed(time: sa.ColumnElement[float], *, held: bool) -> dict[str, Any]:
    """Return the columns of a new reply that are the same for all, or are computed by the database."""
    lease = taken(time) if held else FREE
    return {"state": ReplyState.WAITING, "created_at": time, "tries": int(held), **lease}
