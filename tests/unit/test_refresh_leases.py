"""Refresh leases: one of several processes refreshes a grant, and a process that died delays nobody for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.database.database import Database
from app.errors import GrantRevokedError, ProviderError
from app.grants.grant import Grant
from app.grants.grants import Grants
from app.grants.refresh import BEGIN_SECONDS, Refresher
from app.grants.refresh_leases import LEASE_SECONDS, RefreshLease, RefreshLeases
from app.keys.ring import KeyRing
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS
from app.principal import Principal
from tests.fakes.core_server import until
from tests.fakes.credentials import TokenEndpoint, WatchedGrants, connect, google_tokens, invalid_grant, unavailable
from tests.fakes.databases import Databases
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import Clock


class Replica:
    """A process that shares the database and Google with the others, and has a clock of its own."""

    def __init__(self, database: Database, key_ring: KeyRing, google: TokenEndpoint, ahead_seconds: float = 0) -> None:
        clock = Clock(google.now() + ahead_seconds)
        self.grants = WatchedGrants(database, key_ring, now=clock)
        self.refresh_leases = RefreshLeases(database, lease_seconds=30, pause_seconds=30)
        self.refresher = Refresher(self.grants, self.refresh_leases, google_alone(google), now=clock)

    async def grant(self, principal: Principal) -> Grant:
        """Return the person's grant."""
        grant = await self.grants.find(principal)
        assert grant is not None
        return grant


@pytest.fixture
def google() -> TokenEndpoint:
    """Return a Google that rotates refresh tokens."""
    return TokenEndpoint()


@pytest.fixture
async def replicas(
    database: Database, databases: Databases, key_ring: KeyRing, google: TokenEndpoint, ada: Principal, grace: Principal
) -> AsyncIterator[list[Replica]]:
    """Yield two processes whose clocks differ by a minute; both people have a grant whose access token has expired."""
    other = Database(await databases.empty("deputy"))
    one = Replica(database, key_ring, google)
    for person in (ada, grace):
        await connect(database, one.grants, person, google_tokens(f"{person.user}-1", expires_in=0))
    yield [one, Replica(other, key_ring, google, ahead_seconds=60)]
    await other.close()


@asynccontextmanager
async def asked(google: TokenEndpoint, replicas: list[Replica], *people: Principal) -> AsyncIterator[list[object]]:
    """Let every process ask for each person eight times at once; fill the yielded list when the context ends."""
    google.gate.clear()
    before = sum(replica.grants.found for replica in replicas)
    calls = [
        asyncio.create_task(replica.refresher.fresh(person))
        for replica in replicas
        for person in people
        for _ in range(8)
    ]
    await until(lambda: len(google.refreshed) == len(people))
    await until(lambda: sum(replica.grants.found for replica in replicas) == before + len(calls))
    found: list[object] = []
    yield found
    google.gate.set()
    found += await asyncio.gather(*calls, return_exceptions=True)


async def test_one_process_asks_google(
    replicas: list[Replica], google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """32 requests for two people in two processes make one call per person, and each gets their own new token."""
    async with asked(google, replicas, ada, grace) as found:
        pass
    tokens = [(grant.principal, grant.access_token) for grant in found if isinstance(grant, Grant)]

    assert sorted(google.refreshed) == ["refresh-ada-1", "refresh-grace-1"]
    assert sorted(tokens, key=str) == sorted([(p, f"access-{p.user}-2") for p in (ada, grace)] * 16, key=str)


class LateLeases(RefreshLeases):
    """The leases of a slow process: something happens elsewhere before it takes one."""

    def __init__(self, database: Database, before: Callable[[], Awaitable[object]]) -> None:
        super().__init__(database)
        self._before = before

    async def take(self, grant: Grant) -> RefreshLease | None:
        await self._before()
        return await super().take(grant)


async def test_who_comes_late_finds_it_done(
    database: Database, replicas: list[Replica], google: TokenEndpoint, ada: Principal
) -> None:
    """A grant that was refreshed just before its lease was taken is not refreshed again."""
    one, two = replicas
    late = LateLeases(database, lambda: one.refresher.fresh(ada))
    grant = await Refresher(two.grants, late, google_alone(google), now=google.now).fresh(ada)

    assert grant is not None
    assert (grant.access_token, google.refreshed) == ("access-ada-2", ["refresh-ada-1"])


async def test_all_processes_are_told_that_a_grant_is_over(
    replicas: list[Replica], google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """`invalid_grant` is the answer for all who wait, in every process, and another person's grant stays."""
    async with asked(google, replicas, ada) as found:
        google.failure = invalid_grant

    assert [type(each) for each in found] == [GrantRevokedError] * 16
    assert google.refreshed == ["refresh-ada-1"]
    assert await replicas[1].grants.find(grace) is not None


async def test_all_processes_leave_a_failing_google_alone(
    replicas: list[Replica], google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """One call finds that Google is unavailable; all who wait for it fail, and the grant is kept."""
    async with asked(google, replicas, ada) as found:
        google.failure = unavailable
    google.failure = None

    assert len(found) == 16
    assert all(isinstance(each, ProviderError) for each in found)
    assert google.refreshed == ["refresh-ada-1"]
    assert (await replicas[0].grant(ada)).refresh_token == "refresh-ada-1"
    assert await replicas[1].refresher.fresh(grace) is not None


async def test_a_lease_is_held_by_one(replicas: list[Replica], ada: Principal, grace: Principal) -> None:
    """One process holds a lease until it releases it; another person's lease is not affected."""
    one, two = replicas
    ada_s, grace_s = await one.grant(ada), await one.grant(grace)
    taken = await asyncio.gather(*(replica.refresh_leases.take(ada_s) for replica in replicas for _ in range(4)))
    held = [lease for lease in taken if lease is not None]

    assert len(held) == 1
    assert await two.refresh_leases.take(grace_s) is not None
    await one.refresh_leases.release(held[0])
    assert await two.refresh_leases.take(ada_s) is not None


async def test_the_lease_of_the_dead_is_taken_over(
    database: Database, replicas: list[Replica], google: TokenEndpoint, ada: Principal
) -> None:
    """A process that died before it asked Google delays the others only until its lease expires."""
    dead = await RefreshLeases(database, lease_seconds=0.4).take(await replicas[0].grant(ada))
    found = await asyncio.wait_for(replicas[1].refresher.fresh(ada), timeout=30)

    assert dead is not None
    assert found is not None
    assert (found.access_token, google.refreshed) == ("access-ada-2", ["refresh-ada-1"])


async def test_who_was_overtaken_takes_nothing_away(
    database: Database, replicas: list[Replica], ada: Principal
) -> None:
    """A holder that was too slow can neither release nor pause the lease of the process that took it over."""
    grant = await replicas[0].grant(ada)
    slow = await RefreshLeases(database, lease_seconds=-1).take(grant)
    assert slow is not None
    assert await replicas[0].refresh_leases.take(grant) is not None
    await replicas[1].refresh_leases.release(slow)
    await replicas[1].refresh_leases.pause(slow)

    assert await replicas[1].refresh_leases.take(grant) is None


async def test_the_pause_grows_and_ends_with_a_success(
    database: Database, replicas: list[Replica], google: TokenEndpoint, ada: Principal
) -> None:
    """Failures in a row are counted, and an answer from Google resets the count."""
    leases = RefreshLeases(database, pause_seconds=0.001)
    for failures in range(3):
        lease = await leases.take(await replicas[0].grant(ada))
        assert lease is not None
        assert lease.failures == failures
        await leases.pause(lease)
        await asyncio.sleep(0.02)
    await replicas[0].refresher.fresh(ada)
    lease = await leases.take(await replicas[0].grant(ada))

    assert lease is not None
    assert lease.failures == 0


async def test_a_wait_ends_when_the_grant_is_another(
    database: Database, replicas: list[Replica], ada: Principal, grace: Principal
) -> None:
    """A wait ends at once when the grant gets a new consent or ends, even if the lease is still held."""
    for person in (ada, grace):
        grant = await replicas[0].grant(person)
        assert await replicas[0].refresh_leases.take(grant) is not None
        waiting = asyncio.create_task(replicas[1].refresh_leases.wait(grant))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        if person == ada:
            await connect(database, replicas[0].grants, ada, google_tokens("ada-9"))
        else:
            await replicas[0].grants.mark_revoked(grant)
        await asyncio.wait_for(waiting, timeout=30)


def test_a_lease_outlives_the_call_that_it_is_for() -> None:
    """A lease lasts longer than the call to Google that it is for, so nobody else asks meanwhile."""
    assert LEASE_SECONDS >= HTTP_TIMEOUT_SECONDS + BEGIN_SECONDS + 2


async def test_a_lease_that_came_too_late_is_not_used(
    database: Database, key_ring: KeyRing, google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """A process that stalls while taking a lease gives it back, because it may expire before Google has answered."""
    grants, leases, monotonic = Grants(database, key_ring, now=google.now), RefreshLeases(database), Clock(0)
    for person in (ada, grace):
        await connect(database, grants, person, google_tokens(f"{person.user}-1", expires_in=0))
    take, asked = leases.take, list[int]()

    async def slowly(grant: Grant) -> RefreshLease | None:
        asked.append(len(google.refreshed))
        lease = await take(grant)
        monotonic.now += BEGIN_SECONDS + 1 if len(asked) == 1 else 0
        return lease

    leases.take = slowly  # type: ignore[method-assign]
    refresher = Refresher(grants, leases, google_alone(google), google.now, monotonic)
    renewed = [await refresher.fresh(person) for person in (ada, grace)]

    assert [grant.access_token for grant in renewed if grant] == ["access-ada-2", "access-grace-2"]
    assert asked == [0, 0, 1]
