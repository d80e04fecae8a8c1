"""The order of work: the next message of a conversation, and the conversations to wake first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from app.database.database import HasDialect
from app.database.tables import messages, outbox, parked_runs
from app.database.transition import changing
from app.delivery.store.lease import MessageLease
from app.delivery.store.owing import ReplyState
from app.delivery.store.queries import is_due, of_conversation
from app.messages import MessageState
from app.principal import Principal

_CONVERSATION = ("platform", "tenant", "conversation")
_PERSON = ("platform", "tenant", "user_id")
_candidates, _earlier, _others = messages.alias(), messages.alias(), messages.alias()  # made once: it takes 1 ms

ANYTHING_UNDONE = sa.select(
    sa.or_(
        sa.exists().where(messages.c.state.in_((MessageState.NEW, MessageState.RUNNING))),
        sa.exists().where(outbox.c.state == ReplyState.WAITING),
        sa.exists().select_from(parked_runs),
    )
)
"""Asks whether a message waits, is in work or is parked, or a reply is owed."""


def is_next(now: sa.ColumnElement[float], besides: Iterable[Principal] = ()) -> sa.ColumnElement[bool]:
    """Return the condition that a row is the message of the given conversation that can be begun now.

    Each person's first undone message is a candidate, and the oldest candidate is next. So a message that waits for
    another try holds up later ones of the same person, and nobody else's.

    Args:
        now: The database's clock.
        besides: People whose messages are skipped.
    """
    is_behind = sa.exists().where(
        of_conversation(_earlier),
        *(_earlier.c[name] == _candidates.c[name] for name in _PERSON),
        _earlier.c.state == MessageState.NEW,
        _earlier.c.sequence < _candidates.c.sequence,
    )
    oldest = (
        sa.select(_candidates.c.id)
        .where(
            of_conversation(_candidates),
            _candidates.c.state == MessageState.NEW,
            is_due(_candidates, now),
            ~is_behind,
            *(~_is_of(_candidates, principal) for principal in besides),
        )
        .order_by(_candidates.c.sequence)
        .limit(1)
        .scalar_subquery()
    )
    in_work = sa.exists().where(of_conversation(_others), _others.c.state == MessageState.RUNNING)
    return sa.and_(
        messages.c.id == oldest,
        messages.c.state == MessageState.NEW,  # PostgreSQL checks this again if another process was quicker
        is_due(messages, now),
        ~in_work,
    )


def upcoming(now: sa.ColumnElement[float], besides: Iterable[Principal] = ()) -> sa.Select[Any]:
    """Return the query for whose message `is_next`, how often it was interrupted, and whether `more` wait."""
    columns = (messages.c.platform, messages.c.tenant, messages.c.user_id, messages.c.interruptions)
    others = messages.alias()
    more = sa.exists().where(
        of_conversation(others), others.c.state == MessageState.NEW, others.c.sequence != messages.c.sequence
    )
    return sa.select(*columns, more.label("more")).where(is_next(now, besides))


def beginning(lease: MessageLease, of: HasDialect, besides: Iterable[Principal] = ()) -> ReturningUpdate[Any]:
    """Return the statement that begins the message that `is_next` at the time `now`, and returns its row."""
    return changing(
        messages,
        is_next(lease.time_of(of), besides),
        MessageState.NEW,
        MessageState.RUNNING,
        attempt=messages.c.attempt + 1,
        changed_at=sa.bindparam("now", type_=sa.Double),
        **lease.taken(of),
    ).returning(*messages.c)


def _is_of(table: sa.FromClause, principal: Principal) -> sa.ColumnElement[bool]:
    parts = (principal.platform, principal.tenant, principal.user)
    return sa.and_(*(table.c[name] == part for name, part in zip(_PERSON, parts, strict=True)))


def to_wake(now: sa.ColumnElement[float], *, at_most: int) -> sa.Select[Any]:
    """Return the query for the conversations that have something to begin; people take turns.

    Each person's conversation that has waited longest comes first, then each person's second, and so on: one person's
    hundreds of conversations do not crowd out another person's only one.
    """
    place = sa.func.row_number().over(
        partition_by=[messages.c[name] for name in (*_PERSON, "conversation")], order_by=messages.c.sequence
    )
    columns = [messages.c[name] for name in (*_PERSON, "conversation", "sequence", "changed_at", "next_try_at")]
    undone = sa.select(*columns, place.label("place")).where(messages.c.state == MessageState.NEW).subquery()
    turn = sa.func.row_number().over(
        partition_by=[undone.c[name] for name in _PERSON], order_by=(undone.c.changed_at, undone.c.sequence)
    )
    heads = sa.select(undone, turn.label("turn")).where(undone.c.place == 1, is_due(undone, now)).subquery()
    conversation = [heads.c[name] for name in _CONVERSATION]
    first = (sa.func.min(heads.c.turn), sa.func.min(heads.c.changed_at))
    return sa.select(*conversation).group_by(*conversation).order_by(*first).limit(at_most)


def undone_of_everybody() -> sa.Select[Any]:
    """Return the query that counts waiting messages: a row per person with its three parts and `how_many`."""
    person = [messages.c[name] for name in _PERSON]
    counted = sa.select(*person, sa.func.count().label("how_many")).where(messages.c.state == MessageState.NEW)
    return counted.group_by(*person)
