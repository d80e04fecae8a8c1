"""Leaving and coming back: a late step of an offboarding does not affect a restored person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.api_tokens import ApiTokens
from app.consent.ended import Ended
from app.consent.quarantine import Quarantine
from app.consent.revocation import Revocation
from app.consent.unconfirmed import UnconfirmedConsents
from app.database.database import Database
from app.delivery.store.cancellation import Cancellation
from app.errors import UnauthenticatedError
from app.grants.refresh_leases import RefreshLeases
from app.janitor import Janitor
from app.keys.ring import KeyRing
from app.messages import MessageState
from app.offboarding import Offboarded, Offboarding
from app.principal import Principal
from app.users import stays_offboarded
from tests.fakes.core_server import CoreServer, until
from tests.fakes.credentials import TokenEndpoint, connect, google_tokens
from tests.fakes.providers import google_alone


class InWork:
    """A worker that runs messages of these people until it is interrupted."""

    def __init__(self, *people: Principal) -> None:
        self.people_in_work = frozenset(people)
        self.interrupted: list[Principal] = []

    def interrupt_all(self, principal: Principal) -> int:
        self.interrupted.append(principal)
        self.people_in_work -= {principal}
        return 1


class OffboardingServer(CoreServer):
    """A server that can offboard people."""

    def __init__(self, database: Database, key_ring: KeyRing) -> None:
        super().__init__(database, key_ring)
        self.google = TokenEndpoint(now=self.clock)
        self.api_tokens = ApiTokens(database, key_ring)
        self.cancellation = Cancellation(database, self.outbox, self.clock)
        quarantine = Quarantine(database, key_ring, now=self.clock)
        dropping = UnconfirmedConsents(database, self.links, quarantine, google_alone(self.google))
        leases = RefreshLeases(database)
        self.revocation = Revocation(
            database, self.grants, leases, dropping, google_alone(self.google), self.cancellation, self.clock
        )
        self.offboarding = Offboarding(self.users, self.api_tokens, self.cancellation, self.revocation)

    async def settle(self, person: Principal) -> tuple[str, str]:
        """Give a person a grant, a token and an undone message, and return the token and the message's id."""
        await connect(self.database, self.grants, person, google_tokens(f"{person.user}-1"))
        token = await self.api_tokens.issue(person, label="test")
        return token, (await self.say(person, "hello", person.user)).message_id

    def janitor(self, worker: InWork) -> Janitor:
        """Return the janitor for this worker."""
        users, supervisor = self.users, self.supervisor
        return Janitor(
            worker, users, self.cancellation, self.offboarding, self.revocation, supervisor, look_seconds=0.02
        )


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> OffboardingServer:
    """Return a server that nobody has left yet."""
    return OffboardingServer(database, key_ring)


async def test_a_late_finish_takes_nothing_from_who_was_restored(
    server: OffboardingServer, ada: Principal, grace: Principal
) -> None:
    """Finishing an offboarding that another process already finished takes nothing from a restored person."""
    for person in (ada, grace):
        await server.offboarding.offboard(person)
    await server.users.restore(ada)
    token, message_id = await server.settle(ada)
    late = [await server.offboarding.finish(person) for person in (ada, grace)]

    assert late == [Offboarded(0, 0, Ended())] * 2
    assert await server.api_tokens.principal_of(token) == ada
    assert (await server.inbox.get(ada, message_id)).state is MessageState.NEW
    assert await server.grants.find(ada) is not None


async def test_each_step_looks_whether_the_person_has_still_left(
    server: OffboardingServer, ada: Principal, grace: Principal
) -> None:
    """Each step of an offboarding checks that the person is still offboarded before it ends anything."""
    token, message_id = await server.settle(ada)
    of_grace, _ = await server.settle(grace)
    await server.users.offboard(grace)
    for person in (ada, grace):
        await server.api_tokens.revoke(person, leaver=True)
        await server.cancellation.end_all(person)
        await server.revocation.end(person, leaver=True)

    assert await server.api_tokens.principal_of(token) == ada
    assert (await server.inbox.get(ada, message_id)).state is MessageState.NEW
    assert await server.grants.find(ada) is not None
    assert server.google.revoked == ["refresh-grace-1"]
    with pytest.raises(UnauthenticatedError):
        await server.api_tokens.principal_of(of_grace)


async def test_who_is_being_ended_is_not_restored_in_between(server: OffboardingServer, ada: Principal) -> None:
    """A restore waits for a running step of the offboarding, and cannot come between its check and its change."""
    await server.users.offboard(ada)
    await server.users.mark_ended(ada)
    async with server.database.writing() as connection:
        assert await stays_offboarded(connection, ada)
        restoring = asyncio.create_task(server.users.restore(ada))
        await asyncio.sleep(0.1)
        assert not restoring.done()

    assert await restoring


@pytest.fixture
async def hanging(server: OffboardingServer) -> AsyncIterator[TokenEndpoint]:
    """Yield a Google that does not answer until the test ends."""
    server.google.gate.clear()
    yield server.google
    server.google.gate.set()


async def test_a_google_that_hangs_lets_nobodys_work_go_on(
    server: OffboardingServer, hanging: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """While revoking one person's grant hangs at Google, another person who leaves is still stopped."""
    for person in (ada, grace):
        await server.settle(person)
    worker = InWork(grace)
    await server.users.offboard(ada)
    async with server.janitor(worker).running():
        await hanging.asked.wait()
        await server.users.offboard(grace)
        await until(lambda: worker.interrupted == [grace])

        assert hanging.revoked == []
        assert await server.inbox.conversations_with_work() == []


async def test_the_work_of_who_leaves_ends_at_once(server: OffboardingServer, ada: Principal, grace: Principal) -> None:
    """Beginning an offboarding ends the person's messages at once, without the janitor; another person's stay."""
    (_, mine), (_, hers) = [await server.settle(person) for person in (ada, grace)]
    await server.offboarding.begin(ada)

    assert (await server.inbox.get(ada, mine)).state is MessageState.FAILED
    assert (await server.inbox.get(grace, hers)).state is MessageState.NEW
