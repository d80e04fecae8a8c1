"""Refreshing: one call to Google per grant, and no token is lost when a caller is cancelled or fails."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import refresh_leases
from app.errors import GoogleError, GrantRevokedError, ProviderError
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.grants.refresh import FRESH_SECONDS, Refresher
from app.grants.refresh_leases import RefreshLease, RefreshLeases
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.fakes.core_server import until
from tests.fakes.credentials import (
    HOUR,
    TokenEndpoint,
    WatchedGrants,
    connect,
    google_tokens,
    invalid_grant,
    unavailable,
)
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import READ, SEND, Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def grants(database: Database, key_ring: KeyRing, clock: Clock) -> WatchedGrants:
    """Return grants on that clock."""
    return WatchedGrants(database, key_ring, now=clock)


@pytest.fixture
def google(clock: Clock) -> TokenEndpoint:
    """Return a Google that rotates refresh tokens."""
    return TokenEndpoint(now=clock)


@pytest.fixture
def refresher(database: Database, grants: Grants, google: TokenEndpoint, clock: Clock) -> Refresher:
    """Return a refresher on that clock that pauses only briefly after a failure of Google."""
    return Refresher(grants, RefreshLeases(database, pause_seconds=0.001), google_alone(google), now=clock)


@pytest.fixture
async def connected(database: Database, grants: Grants, clock: Clock, ada: Principal, grace: Principal) -> None:
    """Give both people a grant whose access token has expired."""
    for person, name in ((ada, "ada-1"), (grace, "grace-1")):
        await connect(database, grants, person, google_tokens(name, expires_in=0))


async def test_nothing_is_asked_without_need(
    refresher: Refresher, google: TokenEndpoint, database: Database, grants: Grants, ada: Principal, grace: Principal
) -> None:
    """Google is not asked when there is no grant, or when the token has more than 300 seconds left."""
    await connect(database, grants, ada, google_tokens("ada-1", expires_in=FRESH_SECONDS + 1))
    grant = await refresher.fresh(ada)

    assert grant is not None
    assert grant.access_token == "access-ada-1"
    assert await refresher.fresh(grace) is None
    assert google.refreshed == []


async def test_a_token_with_300_seconds_left_is_renewed(
    refresher: Refresher, google: TokenEndpoint, database: Database, grants: Grants, clock: Clock, ada: Principal
) -> None:
    """A token with exactly 300 seconds left is renewed, because google-auth would call it expired during the call."""
    await connect(database, grants, ada, google_tokens("ada-1", expires_in=FRESH_SECONDS))
    grant = await refresher.fresh(ada)

    assert grant is not None
    assert (grant.access_token, grant.expires_at) == ("access-ada-2", clock.now + HOUR)
    assert await grants.find(ada) == grant


@pytest.mark.usefixtures("connected")
async def test_requests_of_one_person_make_one_call(
    refresher: Refresher, google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """32 interleaved requests each of two people make one call per person, and each person gets their own token."""
    people = [ada, grace] * 32
    found = await asyncio.gather(*(refresher.fresh(person) for person in people))

    assert sorted(google.refreshed) == ["refresh-ada-1", "refresh-grace-1"]
    for person, grant in zip(people, found, strict=True):
        assert grant is not None
        assert (grant.principal, grant.access_token) == (person, f"access-{person.user}-2")


@pytest.mark.usefixtures("connected")
async def test_no_lease_is_held_while_a_provider_says_where_it_is(
    refresher: Refresher, google: TokenEndpoint, database: Database, ada: Principal, grace: Principal
) -> None:
    """No lease is held while a provider's metadata is fetched, because that may take longer than a lease lasts."""
    held: list[object] = []

    async def look() -> None:
        async with database.reading() as connection:
            held.append((await connection.execute(sa.select(refresh_leases))).all())

    google.before = look
    for person in (ada, grace):
        assert await refresher.fresh(person) is not None

    assert held == [[], []]


@pytest.mark.usefixtures("connected")
async def test_rotation_is_kept(
    refresher: Refresher, google: TokenEndpoint, clock: Clock, ada: Principal, grace: Principal
) -> None:
    """Each refresh uses the refresh token from the previous one, even if others refresh in between."""
    for _ in range(3):
        for person in (ada, grace):
            assert await refresher.fresh(person) is not None
        clock.now += HOUR

    assert [token for token in google.refreshed if "ada" in token] == [f"refresh-ada-{n}" for n in (1, 2, 3)]
    assert [token for token in google.refreshed if "grace" in token] == [f"refresh-grace-{n}" for n in (1, 2, 3)]


@pytest.mark.usefixtures("connected")
async def test_a_refresh_token_that_google_does_not_rotate_is_kept(
    refresher: Refresher, google: TokenEndpoint, clock: Clock, ada: Principal
) -> None:
    """If a refresh returns no refresh token, the stored one is kept."""
    google.rotates = False
    await refresher.fresh(ada)
    clock.now += HOUR
    grant = await refresher.fresh(ada)

    assert google.refreshed == ["refresh-ada-1", "refresh-ada-1"]
    assert grant is not None
    assert grant.refresh_token == "refresh-ada-1"


@pytest.mark.usefixtures("connected")
async def test_a_rejected_token_is_not_given_out_again(
    refresher: Refresher, google: TokenEndpoint, clock: Clock, ada: Principal, grace: Principal
) -> None:
    """A caller whose token Google rejected gets a new one; if it was already replaced, Google is not called again."""
    for person in (ada, grace):
        await refresher.fresh(person)
    google.refreshed.clear()
    after = await asyncio.gather(*(refresher.fresh(ada, rejected="access-ada-2") for _ in range(8)))
    stale = await refresher.fresh(ada, rejected="access-ada-2")

    assert {grant.access_token for grant in [*after, stale] if grant} == {"access-ada-3"}
    assert google.refreshed == ["refresh-ada-2"]


@pytest.mark.usefixtures("connected")
async def test_a_token_that_was_rejected_at_once_is_not_given_out_by_its_own_renewal(
    refresher: Refresher, google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """A caller whose token is rejected while its renewal is still finishing gets the next token."""
    release, stored, go_on = refresher._leases.release, asyncio.Event(), asyncio.Event()

    async def slowly(lease: RefreshLease) -> None:
        stored.set()
        await go_on.wait()
        await release(lease)

    refresher._leases.release = slowly  # type: ignore[method-assign]
    first, hers = [asyncio.create_task(refresher.fresh(person)) for person in (ada, grace)]
    await until(lambda: len(google.refreshed) == 2 and stored.is_set())
    await until(lambda: is_stored(refresher, ada))
    second = asyncio.create_task(refresher.fresh(ada, rejected="access-ada-2"))
    await asyncio.sleep(0.05)
    go_on.set()
    tokens = [grant.access_token for task in (first, second, hers) if (grant := await task)]

    assert tokens == ["access-ada-2", "access-ada-3", "access-grace-2"]


async def is_stored(refresher: Refresher, principal: Principal) -> bool:
    """Return whether a person's grant was renewed."""
    grant = await refresher._grants.find(principal)
    return grant is not None and grant.version == 2


@pytest.mark.usefixtures("connected")
async def test_a_caller_that_is_cancelled_loses_nothing(
    refresher: Refresher, google: TokenEndpoint, grants: WatchedGrants, ada: Principal, grace: Principal
) -> None:
    """When a caller is cancelled, its refresh continues, and the other callers get the stored token."""
    google.gate.clear()
    first, second = (asyncio.create_task(refresher.fresh(ada)) for _ in range(2))
    other = asyncio.create_task(refresher.fresh(grace))
    await until(lambda: len(google.refreshed) == 2 and grants.found == 3)
    first.cancel()
    await asyncio.wait([first])
    google.gate.set()
    grant = await second

    assert first.cancelled()
    assert grant is not None
    assert grant.access_token == "access-ada-2"
    assert await refresher.fresh(ada) == grant
    assert await other is not None
    assert sorted(google.refreshed) == ["refresh-ada-1", "refresh-grace-1"]


@pytest.mark.usefixtures("connected")
async def test_the_refresh_of_a_cancelled_caller_is_stored(
    refresher: Refresher, google: TokenEndpoint, ada: Principal
) -> None:
    """The rotated token is stored even if every caller was cancelled, and the next caller gets it."""
    google.gate.clear()
    lone = asyncio.create_task(refresher.fresh(ada))
    await google.asked.wait()
    lone.cancel()
    await asyncio.wait([lone])
    google.gate.set()
    grant = await refresher.fresh(ada)

    assert grant is not None
    assert grant.refresh_token == "refresh-ada-2"
    assert google.refreshed == ["refresh-ada-1"]


@pytest.mark.usefixtures("connected")
async def test_a_failure_that_nobody_waits_for_is_no_noise(
    refresher: Refresher, google: TokenEndpoint, ada: Principal
) -> None:
    """A refresh that fails after its callers were cancelled causes no "exception was never retrieved" message."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    google.gate.clear()
    google.failure = unavailable
    callers = [asyncio.create_task(refresher.fresh(ada)) for _ in range(3)]
    await google.asked.wait()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    del caller, callers  # a finished task that is still referenced does not complain yet
    google.gate.set()
    await until(lambda: not refresher._refreshes._under_way)
    await asyncio.sleep(0)
    gc.collect()

    assert complaints == []


@pytest.mark.usefixtures("connected")
async def test_a_grant_that_google_ended_is_marked(
    refresher: Refresher, google: TokenEndpoint, grants: WatchedGrants, ada: Principal, grace: Principal
) -> None:
    """When Google ends a grant, every waiting caller gets the error and the grant is gone; another person's stays."""
    google.gate.clear()  # nobody is answered before all of them wait
    google.failure = invalid_grant
    callers = [asyncio.create_task(refresher.fresh(ada)) for _ in range(4)]
    await until(lambda: google.refreshed and grants.found == 4)
    google.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert [type(each) for each in results] == [GrantRevokedError] * 4
    assert google.refreshed == ["refresh-ada-1"]
    assert await refresher.fresh(ada) is None
    assert await grants.find(grace) is not None


@pytest.mark.usefixtures("connected")
async def test_a_consent_during_a_refresh_that_fails_survives(
    refresher: Refresher, google: TokenEndpoint, database: Database, grants: Grants, ada: Principal
) -> None:
    """`invalid_grant` for the old tokens does not end a new consent for the same account, which is used instead."""
    google.gate.clear()
    google.failure = invalid_grant
    caller = asyncio.create_task(refresher.fresh(ada))
    await google.asked.wait()
    await connect(database, grants, ada, google_tokens("ada-9", scopes=frozenset({READ, SEND})))
    google.gate.set()
    grant = await caller

    assert grant is not None
    assert grant.access_token == "access-ada-9"
    assert await grants.find(ada) == grant


@pytest.mark.usefixtures("connected")
async def test_a_consent_during_a_refresh_that_succeeds_survives(
    refresher: Refresher, google: TokenEndpoint, database: Database, grants: Grants, ada: Principal, grace: Principal
) -> None:
    """The result of refreshing the old tokens is dropped, and the new consent for the account is used instead."""
    google.gate.clear()
    caller = asyncio.create_task(refresher.fresh(ada))
    await google.asked.wait()
    await connect(database, grants, ada, google_tokens("ada-9"))
    google.gate.set()
    grant = await caller

    assert grant is not None
    assert grant.access_token == "access-ada-9"
    assert await grants.find(ada) == grant


@pytest.mark.usefixtures("connected")
async def test_another_choice_during_a_refresh_changes_no_account_under_way(
    refresher: Refresher, google: TokenEndpoint, database: Database, grants: Grants, ada: Principal, grace: Principal
) -> None:
    """A refresh returns the account that it began with, even if its person chooses another one meanwhile."""
    await connect(database, grants, ada, google_tokens("work-1"))
    google.gate.clear()
    caller = asyncio.create_task(refresher.fresh(ada))
    await google.asked.wait()
    await Accounts(database).use(ada, "work", conversation=None)
    google.gate.set()
    grant, now = await caller, await grants.find(ada)

    assert grant is not None
    assert now is not None
    assert (grant.email, now.email) == ("ada@example.com", "work@example.com")


@pytest.mark.parametrize("failure", [unavailable, lambda: GoogleError("no answer"), ConnectionError])
@pytest.mark.usefixtures("connected")
async def test_any_other_failure_keeps_the_grant(
    failure: Callable[[], Exception], refresher: Refresher, google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """If Google is unavailable, the caller fails, and the next one retries with the same refresh token."""
    google.rotates = False
    google.failure = failure
    with pytest.raises(type(failure())):
        await refresher.fresh(ada)
    google.failure = None
    await asyncio.sleep(0.01)

    assert await refresher.fresh(ada) is not None
    assert google.refreshed == ["refresh-ada-1", "refresh-ada-1"]
    assert await refresher.fresh(grace) is not None


@pytest.mark.usefixtures("connected")
async def test_a_failed_refresh_holds_nobody(refresher: Refresher, google: TokenEndpoint, ada: Principal) -> None:
    """After a failed refresh the caller's objects are freed without the collector: the error is in no cycle."""

    class Held:
        """An object in a frame that the error passes through."""

    async def ask() -> weakref.ref[Held]:
        held = Held()
        with contextlib.suppress(ProviderError):
            await call_with(held)
        return weakref.ref(held)

    async def call_with(held: Held) -> None:
        await refresher.fresh(ada)

    google.failure = unavailable
    gc.disable()
    try:
        reference = await ask()
        await asyncio.sleep(0)

        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("connected")
async def test_a_token_endpoint_that_is_slow_holds_up_no_other_person(
    refresher: Refresher, google: TokenEndpoint, database: Database, grants: Grants, ada: Principal, grace: Principal
) -> None:
    """No connection or lock is held while Google is asked for one person, so another person's grant is not delayed."""
    google.gate.clear()
    slow = asyncio.create_task(refresher.fresh(ada))
    await google.asked.wait()
    await connect(database, grants, grace, google_tokens("grace-5"))
    grant = await asyncio.wait_for(refresher.fresh(grace), timeout=30)
    google.gate.set()

    assert grant is not None
    assert grant.access_token == "access-grace-5"
    assert await slow is not None


@pytest.mark.usefixtures("connected")
async def test_a_google_that_gives_no_answer_is_left_alone_for_a_while(
    database: Database, grants: Grants, google: TokenEndpoint, clock: Clock, ada: Principal, grace: Principal
) -> None:
    """A call right after a failure fails without asking Google, and another person's refresh is not delayed."""
    refresher = Refresher(grants, RefreshLeases(database, pause_seconds=60), google_alone(google), now=clock)
    google.failure = unavailable
    for _ in range(3):
        with pytest.raises(ProviderError):
            await refresher.fresh(ada)
    google.failure = None

    assert google.refreshed == ["refresh-ada-1"]
    assert await refresher.fresh(grace) is not None
    assert await grants.find(ada) is not None


@pytest.mark.usefixtures("connected")
async def test_closing_waits_for_what_is_under_way(
    refresher: Refresher, google: TokenEndpoint, grants: Grants, ada: Principal, grace: Principal
) -> None:
    """A stopping process stores the tokens that Google rotated, even if their callers were cancelled."""
    google.gate.clear()
    callers = [asyncio.create_task(refresher.fresh(person)) for person in (ada, grace)]
    await until(lambda: len(google.refreshed) == 2)
    for caller in callers:
        caller.cancel()
    closing = asyncio.create_task(refresher.aclose())
    await asyncio.sleep(0.05)
    google.gate.set()
    await asyncio.wait_for(closing, timeout=30)

    for person in (ada, grace):
        grant = await grants.find(person)
        assert grant is not None
        assert grant.refresh_token == f"refresh-{person.user}-2"


@pytest.mark.usefixtures("connected")
async def test_a_token_that_an_api_refuses_ends_its_grant_only(
    refresher: Refresher, grants: Grants, ada: Principal, grace: Principal
) -> None:
    """An API's refusal ends a grant only if it names the person's own grant and its current token."""
    adas, graces = [await refresher.fresh(person) for person in (ada, grace)]
    assert adas is not None
    assert graces is not None
    with pytest.raises(GrantRevokedError):
        await refresher.refused(ada, adas.grant_id, "access-ada-2")
    await refresher.refused(ada, graces.grant_id, "access-grace-2")
    await refresher.refused(grace, graces.grant_id, "access-grace-1")

    assert await grants.find(ada) is None
    assert await grants.find(grace) is not None
