"""Fairness: one busy person keeps nobody else waiting, and what may have killed a process is tried with care."""

from __future__ import annotations

import asyncio

from app.delivery.store.inbox import Upcoming
from app.delivery.work.fairness import Fairness
from app.messages import ConversationKey
from app.principal import Principal

ONE, TWO, THREE = (ConversationKey("http", "demo", name) for name in ("one", "two", "three"))


def test_a_person_with_all_their_turns_steps_aside(ada: Principal, grace: Principal) -> None:
    """A further conversation of theirs waits for one of theirs to end; another person's goes on."""
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
    """While one suspect is in work another one steps aside, whoever wrote it, and messages beyond suspicion go on."""
    turns = Fairness(concurrency=8, person_concurrency=4)
    first, second = Upcoming(ada, 1), Upcoming(grace, 1)

    assert turns.enter(first, ONE)
    assert not turns.enter(second, TWO)
    assert turns.enter(Upcoming(grace, 0), THREE)
    assert turns.leave(first) == [TWO]
    assert turns.enter(second, TWO)
    assert turns.leave(second) == []


async def test_who_was_interrupted_twice_runs_alone(ada: Principal, grace: Principal) -> None:
    """It waits until nothing else is in work; what comes then waits until it has ended, though there would be room."""
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
    """Whether it waits to be alone or is, its end opens the room again."""
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
