"""Fairness: one busy person keeps nobody else waiting."""

from __future__ import annotations

from app.delivery.work.fairness import Fairness
from app.messages import ConversationKey
from app.principal import Principal


def test_a_person_with_all_their_turns_steps_aside(ada: Principal, grace: Principal) -> None:
    """A further conversation of theirs waits for one of theirs to end; another person's goes on."""
    one, two, three = (ConversationKey("http", "demo", name) for name in ("one", "two", "three"))
    turns = Fairness(concurrency=8, person_concurrency=1)

    assert turns.enter(ada, one)
    assert not turns.enter(ada, two)
    assert not turns.enter(ada, two)
    assert turns.enter(grace, three)
    assert turns.leave(grace) is None
    assert turns.leave(ada) == two
    assert turns.enter(ada, two)
    assert turns.leave(ada) is None
