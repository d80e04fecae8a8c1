"""The order of work: the next message of a conversation, and the conversations to wake first."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from app.database.prepared import Prepared
from app.database.tables import messages, outbox, owner, parked_runs
from app.database.transition import changing
from app.delivery.store.lease import HOLDER, is_over, taken
from app.delivery.store.owing import ReplyState
from app.delivery.store.queries import is_due, leaving, of_conversation
from app.messages import MessageState
from app.principal import Principal

_CONVERSATION = ("platform", "tenant", "conversation")
_PERSON = ("platform", "tenant", "user_id")
_SKIPPED_KEPT = 32  # statements are kept for so many numbers of people to skip
_candidates, _earlier, _others = messages.alias(), messages.alias(), messages.alias()

ANYTHING_UNDONE = sa.select(
    sa.or_(
        sa.exists().where(messages.c.state.in_((MessageState.NEW, MessageState.RUNNING))),
        sa.exists().where(outbox.c.state == ReplyState.WAITING),
        sa.exists().select_from(parked_runs),
    )
)
"""Asks whether a message waits, is in work or is parked, or a reply is owed."""


def _is_next(now: sa.ColumnElement[float], besides: int) -> sa.ColumnElement[bool]:
    """Return the condition that a row is the message of the given conversation that can be begun now.

    Each person's first undone message is a candidate, and the oldest candidate is next. So a message that waits for
    another try holds up later ones of the same person, and nobody else's.

    Args:
        now: The database's clock.
        besides: How many people's messages are skipped; `skipping` gives them.
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
            *(~_is_skipped(place) for place in range(besides)),
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


@lru_cache(maxsize=_SKIPPED_KEPT)
def upcoming(now: sa.ColumnElement[float], besides: int) -> Prepared:
    """Return the query for whose message is next, how often it was interrupted, and whether `more` wait.

    Its parameters are those of `naming` and `skipping`.
    """
    columns = (messages.c.platform, messages.c.tenant, messages.c.user_id, messages.c.interruptions)
    others = messages.alias()
    more = sa.exists().where(
        of_conversation(others), others.c.state == MessageState.NEW, others.c.sequence != messages.c.sequence
    )
    return Prepared(sa.select(*columns, more.label("more")).where(_is_next(now, besides)))


@lru_cache(maxsize=_SKIPPED_KEPT)
def beginning(time: sa.ColumnElement[float], besides: int) -> Prepared:
    """Return the statement that begins the next message and returns its row.

    Its parameters are the lease's, those of `naming` and `skipping`, and the time `now`.
    """
    return Prepared(
        changing(
            messages,
            _is_next(time, besides),
            MessageState.NEW,
            MessageState.RUNNING,
            attempt=messages.c.attempt + 1,
            changed_at=sa.bindparam("now", type_=sa.Double),
            **taken(time),
        ).returning(*messages.c)
    )


def skipping(besides: Iterable[Principal]) -> dict[str, object]:
    """Return the parameters of a statement that skips these people's messages."""
    return {
        f"skipped_{name}_{place}": part
        for place, principal in enumerate(besides)
        for name, part in owner(principal).items()
    }


def _is_skipped(place: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        *(_candidates.c[name] == sa.bindparam(f"skipped_{name}_{place}", type_=sa.String) for name in _PERSON)
    )


@cache
def conversations_to_wake(now: sa.ColumnElement[float], *, at_most: int) -> sa.Select[Any]:
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


@cache
def undone_of_everybody() -> sa.Select[Any]:
    """Return the query that counts waiting messages: a row per person with its three parts and `how_many`."""
    person = [messages.c[name] for name in _PERSON]
    counted = sa.select(*person, sa.func.count().label("how_many")).where(messages.c.state == MessageState.NEW)
    return counted.group_by(*person)


@cache
def waiting_again(time: sa.ColumnElement[float], names: tuple[str, ...]) -> Prepared:
    """Return `leaving` for a message that waits for another try, for so many `wait_seconds`."""
    next_try_at = time + sa.bindparam("wait_seconds", type_=sa.Double)
    return Prepared(leaving(MessageState.NEW, names).values(next_try_at=next_try_at))


@cache
def lost(time: sa.ColumnElement[float]) -> sa.Select[Any]:
    """Return the query for running rows whose lease is over, or that the holder has."""
    over = is_over(messages, time)
    return sa.select(messages, over.label("is_over")).where(
        messages.c.state == MessageState.RUNNING, sa.or_(over, messages.c.lease_holder == HOLDER)
    )
