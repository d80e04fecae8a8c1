"""Users: when they were seen, and that nothing is accepted from those who were offboarded."""

from __future__ import annotations

import asyncio

import pytest

from app.database.database import Database
from app.delivery.engines.embedded import EmbeddedEngine
from app.delivery.store.inbox import Inbox
from app.delivery.work.backlog import Backlog
from app.delivery.work.intake import Intake
from app.errors import OffboardedError
from app.principal import Principal
from app.supervisor import Supervisor
from app.users import Users
from tests.fakes.core_server import inbound
from tests.fakes.sandbox import Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def users(database: Database, clock: Clock) -> Users:
    """Return users on that clock."""
    return Users(database, now=clock)


async def test_people_are_seen(users: Users, clock: Clock, ada: Principal, grace: Principal) -> None:
    """Each person's first time is kept, and their last time is recorded to the hour."""
    first = clock.now
    await asyncio.gather(*(users.admit(person) for person in (ada, grace) * 4))
    clock.now += 60
    await users.admit(grace)
    clock.now += 3600
    await users.admit(ada)
    of_ada, of_grace = await users.everybody()

    assert (of_ada.principal, of_ada.first_seen_at, of_ada.last_seen_at) == (ada, first, clock.now)
    assert (of_grace.principal, of_grace.first_seen_at, of_grace.last_seen_at) == (grace, first, first)


@pytest.mark.parametrize("seen", [True, False])
async def test_who_was_offboarded_is_refused(
    seen: bool, users: Users, clock: Clock, ada: Principal, grace: Principal
) -> None:
    """An offboarded person is refused at once and for good, known or not, and another person is admitted."""
    if seen:
        await users.admit(ada)
    await users.offboard(ada)
    for seconds in (0, 7200):
        clock.now += seconds
        with pytest.raises(OffboardedError, match="http:demo:ada"):
            await users.admit(ada)
        await users.admit(grace)

    assert await users.offboarded_among({ada, grace}) == {ada}
    assert await users.offboarded_among(set()) == set()


@pytest.mark.parametrize("known", [True, False])
async def test_nothing_of_theirs_is_stored(
    database: Database, users: Users, ada: Principal, grace: Principal, known: bool
) -> None:
    """The intake refuses an offboarded person before a row is written or a conversation is woken."""
    inbox, wakeups = Inbox(database), EmbeddedEngine(Supervisor())
    intake = Intake(inbox, wakeups, Backlog(inbox, 10, 10), users)
    if known:
        await intake.accept(inbound(ada, event_id="Ev0", conversation="of-grace"))  # and this process remembers it
    await users.offboard(ada)
    with pytest.raises(OffboardedError):
        await intake.accept(inbound(ada, conversation="of-ada"))
    await intake.accept(inbound(grace, conversation="of-grace"))

    assert [key.conversation for key in await inbox.conversations_with_work()] == ["of-grace"]
    assert (await wakeups.next()).conversation == "of-grace"


async def test_people_are_written_down_once_an_hour(
    users: Users, clock: Clock, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each person is recorded once an hour, however much they write."""
    admitted = []
    admit = users.admit

    async def note(principal: Principal) -> None:
        admitted.append(principal)
        await admit(principal)

    monkeypatch.setattr(users, "admit", note)
    for seconds in (0, 60, 3601):
        clock.now += seconds
        for person in (ada, grace):
            await users.see(person)

    assert admitted == [ada, grace] * 2


async def test_a_second_offboarding_is_the_same(users: Users, clock: Clock, ada: Principal, grace: Principal) -> None:
    """A second offboarding keeps the first one's time and has the remaining access checked again."""
    first = (await users.offboard(ada)).offboarded_at
    await users.offboard(grace)
    await users.mark_ended(ada)
    assert await users.not_ended() == [grace]
    clock.now += 60
    again = await users.offboard(ada)

    assert again.offboarded_at == first
    assert sorted(await users.not_ended(), key=str) == [ada, grace]


async def test_who_is_restored_is_let_in(users: Users, ada: Principal, grace: Principal) -> None:
    """A person can be restored once, after their offboarding has finished, and other offboarded people stay refused."""
    for person in (ada, grace):
        await users.offboard(person)
    with pytest.raises(OffboardedError, match="not finished"):
        await users.restore(ada)
    await users.mark_ended(ada)

    assert await users.restore(ada)
    assert not await users.restore(ada)
    await users.admit(ada)
    with pytest.raises(OffboardedError):
        await users.admit(grace)


async def test_a_late_end_does_not_mark_who_was_restored(users: Users, ada: Principal) -> None:
    """A process that finishes an offboarding after the person was restored changes nothing."""
    await users.offboard(ada)
    await users.mark_ended(ada)
    await users.restore(ada)
    await users.mark_ended(ada)
    [user] = await users.everybody()

    assert (user.offboarded_at, user.ended_at) == (None, None)
