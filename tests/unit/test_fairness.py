"""Fairness: one busy person delays nobody else, and what may have killed a process is retried with care."""

from __future__ import annotations

import asyncio

from app.delivery.store.inbox import Upcoming
from app.delivery.work.fairness import Fairness
from app.messages import ConversationKey
from app.principal import Principal

ONE, TWO, THREE = (ConversationKey("http", "demo", name) for name in ("one", "two", "three"))


def test_a_person_with_all_their_turns_steps_aside(ada: Principal, grace: Principal) -> None:
    """A further conversation of a person waits until one of their turns ends; another person's goes on."""
    turns = Fairness(concurrency=8, person_concurrency=1)
    adas, graces = Upcoming(ada, 0), Upcoming(grace, 0)

    assert turns.enter(adas, ONE)
    assert not turns.enter(adas, TWO)
    assert not turns.enter(adas, TWO)
    assert turns.enter(graces, THREE)
    assert turns.leave(graces) == []
    assert turns.leave(adas) == [TWO]
    assert turns.enter(adas, TWO)
    assert turns.leave(adas) == []


def test_suspects_are_tried_one_at_a_time(ada: Principal, grace: Principal) -> None:
    """While one suspect runs, another one waits, even if it is another person's, and other messages go on."""
    turns = Fairness(concurrency=8, person_concurrency=4)
    first, second = Upcoming(ada, 1), Upcoming(grace, 1)

    assert turns.enter(first, ONE)
    assert not turns.enter(second, TWO)
    assert turns.enter(Upcoming(grace, 0), THREE)
    assert turns.leave(first) == [TWO]
    assert turns.enter(second, TWO)
    assert turns.leave(second) == []


async def test_who_was_interrupted_twice_runs_alone(ada: Principal, grace: Principal) -> None:
    """A message that was interrupted twice runs alone: it waits for the others to end, and later ones wait for it."""
    turns, steps = Fairness(concurrency=8, person_concurrency=4), list[str]()
    before_ends, trial_ends = asyncio.Event(), asyncio.Event()

    async def work(name: str, upcoming: Upcoming, end: asyncio.Event | None = None) -> None:
        async with turns.room(upcoming):
            steps.append(f"{name} begins")
            if end is not None:
                await end.wait()
            steps.append(f"{name} ends")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work("before", Upcoming(grace, 0), before_ends))
        await asyncio.sleep(0)
        tasks.create_task(work("trial", Upcoming(ada, 2), trial_ends))
        await asyncio.sleep(0)
        tasks.create_task(work("after", Upcoming(grace, 1)))
        before_ends.set()
        await asyncio.sleep(0)
        trial_ends.set()

    assert steps == [f"{name} {step}" for name in ("before", "trial", "after") for step in ("begins", "ends")]


async def test_a_trial_that_is_cancelled_lets_the_others_go_on(ada: Principal, grace: Principal) -> None:
    """A cancelled trial lets the others go on, whether it was waiting to be alone or running."""
    turns = Fairness(concurrency=8, person_concurrency=4)

    async def be_alone() -> None:
        async with turns.room(Upcoming(ada, 2)):
            await asyncio.Event().wait()

    for inside in (True, False):
        trial = asyncio.create_task(be_alone())
        if inside:
            await asyncio.sleep(0)
        trial.cancel()
        await asyncio.wait([trial])
        async with turns.room(Upcoming(grace, 0)):
            pass
