"""One request's credentials: what they give out, to whom and for how long, and that nothing of them remains."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httplib2
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials as GoogleCredentials
from google_auth_httplib2 import AuthorizedHttp

from app.credentials.consented import ConsentedTokens
from app.credentials.credentials import Credentials, use_no_connection
from app.credentials.workspace import DelegatedAccess
from app.database.database import Database
from app.deadline import Deadline
from app.errors import ConsentRequiredError, CredentialsError, DeputyError, GoogleError, GrantRevokedError
from app.grants.grants import Grants
from app.grants.refresh import Refresher
from app.grants.refresh_leases import RefreshLeases
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.fakes.core_server import until
from tests.fakes.credentials import TokenEndpoint, connect, google_tokens, invalid_grant, unavailable
from tests.fakes.fading import fading, without_the_collector
from tests.fakes.leaks import everything_in
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import READ, SEND, Clock

Make = Callable[[Principal], Credentials]
READING = frozenset({READ})


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves, set so that google-auth's own clock considers these tokens fresh."""
    return Clock(4_000_000_000.0)


@pytest.fixture
def grants(database: Database, key_ring: KeyRing, clock: Clock) -> Grants:
    """Return grants on that clock."""
    return Grants(database, key_ring, now=clock)


@pytest.fixture
def google(clock: Clock) -> TokenEndpoint:
    """Return a Google that rotates refresh tokens."""
    return TokenEndpoint(now=clock)


@pytest.fixture
async def make(
    database: Database, grants: Grants, google: TokenEndpoint, clock: Clock, ada: Principal, grace: Principal
) -> Make:
    """Return a function that makes one request's credentials; Ada and Grace have granted access to read their mail."""
    for person, name in ((ada, "ada-1"), (grace, "grace-1")):
        await connect(database, grants, person, google_tokens(name, now=clock()))
    tokens = ConsentedTokens(Refresher(grants, RefreshLeases(database), google_alone(google), now=clock))
    return lambda principal: Credentials(principal, tokens, Deadline.after(10))


class Api:
    """An API below google-auth that answers with the bearer it received, and with 401 if that bearer is refused."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.bearers: list[str] = []

    def request(self, uri: str, method: str, **options: Any) -> tuple[httplib2.Response, bytes]:
        self.bearers.append(options["headers"]["authorization"].removeprefix("Bearer "))
        status = 401 if self.bearers[-1] in self.refused else 200
        return httplib2.Response({"status": str(status)}), self.bearers[-1].encode()


async def call(handed: GoogleCredentials, api: Api) -> str:
    """Call the API from a thread, as a toolkit does, and return the last bearer that it received."""
    http = AuthorizedHttp(handed, http=api, max_refresh_attempts=1)
    _, body = await asyncio.to_thread(http.request, "https://api.example/")
    return str(body.decode())


async def test_there_is_nothing_before_ensure(make: Make, ada: Principal, grace: Principal) -> None:
    """Credentials give out nothing before `ensure`, nor in a tool that needs no connection."""
    of_ada, of_grace = make(ada), make(grace)
    use_no_connection()

    with pytest.raises(CredentialsError, match="ada"):
        of_ada.for_google()
    await of_grace.ensure(READING)
    with pytest.raises(CredentialsError, match="ada"):
        of_ada.for_google()
    assert of_grace.for_google().token == "access-grace-1"
    use_no_connection()
    with pytest.raises(CredentialsError, match="grace"):
        of_grace.for_google()


class ByScopes:
    """A source of access whose tokens name the person and the scopes."""

    async def fresh(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        credential_id: str | None = None,
        rejected: str | None = None,
    ) -> DelegatedAccess:
        await asyncio.sleep(0)
        token = f"{principal.user} {' '.join(sorted(oauth_scopes))}"
        return DelegatedAccess(principal.user, oauth_scopes, token, 4_000_003_600.0)

    async def refused(self, principal: Principal, credential_id: str, access_token: str) -> None:
        raise AssertionError("nothing was refused")


async def test_each_tool_is_given_what_it_ensured(ada: Principal, grace: Principal) -> None:
    """Tools that run at once, in one request or for two people, each use the token for their own scopes."""

    async def tool(credentials: Credentials, scope: str) -> tuple[str, str]:
        await credentials.ensure(frozenset({scope}))
        await asyncio.sleep(0.01)
        in_thread = await asyncio.to_thread(credentials.for_google)
        return str(in_thread.token), credentials.credential_id

    requests = [(person, Credentials(person, ByScopes(), Deadline.after(10))) for person in (ada, grace)]
    calls = [(person, credentials, scope) for person, credentials in requests for scope in (READ, SEND)]
    given = await asyncio.gather(*(tool(credentials, scope) for _, credentials, scope in calls))

    assert given == [(f"{person.user} {scope}", person.user) for person, _, scope in calls]


async def test_exactly_the_missing_scopes_are_named(make: Make, ada: Principal) -> None:
    """The error names the person and exactly the scopes that they have not granted."""
    with pytest.raises(ConsentRequiredError) as missing_one:
        await make(ada).ensure(frozenset({READ, SEND}))
    stranger = Principal(ada.platform, ada.tenant, "nobody")
    with pytest.raises(ConsentRequiredError) as missing_all:
        await make(stranger).ensure(frozenset({READ, SEND}))

    assert (missing_one.value.principal, missing_one.value.oauth_scopes) == (ada, frozenset({SEND}))
    assert (missing_all.value.principal, missing_all.value.oauth_scopes) == (stranger, frozenset({READ, SEND}))


async def test_a_grant_that_does_not_cover_gives_nothing_out(make: Make, ada: Principal) -> None:
    """A failed `ensure` gives out no credentials, but those of an earlier one that succeeded remain."""
    credentials = make(ada)
    for _ in range(2):
        with pytest.raises(ConsentRequiredError):
            await credentials.ensure(frozenset({READ, SEND}))
        with pytest.raises(CredentialsError):
            credentials.for_google()
    await credentials.ensure(READING)
    with pytest.raises(ConsentRequiredError):
        await credentials.ensure(frozenset({SEND}))

    assert credentials.for_google().token == "access-ada-1"


async def test_what_is_handed_out_holds_no_refresh_token(make: Make, ada: Principal) -> None:
    """Credentials that are handed out hold no refresh token or client secret, and no repr shows the access token."""
    credentials = make(ada)
    await credentials.ensure(READING)
    handed = credentials.for_google()
    shown = "".join(map(repr, (credentials, vars(credentials), handed)))

    assert handed.refresh_token is None
    assert handed.client_secret is None
    assert b"refresh-ada" not in pickle.dumps(handed)
    assert "access-ada" not in shown
    assert "refresh-ada" not in shown + handed.to_json()


async def test_calls_of_two_people_carry_their_own_token(
    make: Make, google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """Many concurrent calls of two people, each refused once, end with each person's own new token."""
    people = [ada, grace] * 8
    requests = [make(person) for person in people]
    for credentials in requests:
        await credentials.ensure(READING)
    api = Api("access-ada-1", "access-grace-1")
    bearers = await asyncio.gather(*(call(credentials.for_google(), api) for credentials in requests))

    assert bearers == [f"access-{person.user}-2" for person in people]
    assert sorted(google.refreshed) == ["refresh-ada-1", "refresh-grace-1"]


async def test_a_token_that_was_refused_is_not_given_out_again(
    make: Make, google: TokenEndpoint, ada: Principal, grace: Principal
) -> None:
    """A 401 during a call leads to one refresh, and later calls of the request begin with the new token."""
    credentials, other = make(ada), make(grace)
    for each in (credentials, other):
        await each.ensure(READING)
    api = Api("access-ada-1")
    for _ in range(3):
        await call(credentials.for_google(), api)
        await call(other.for_google(), api)

    assert [bearer for bearer in api.bearers if "ada" in bearer] == ["access-ada-1", *["access-ada-2"] * 3]
    assert google.refreshed == ["refresh-ada-1"]


@pytest.mark.parametrize(
    ("failure", "expected"), [(invalid_grant, GrantRevokedError), (unavailable, GoogleError)], ids=["ended", "down"]
)
async def test_a_refresh_that_fails_says_why(
    failure: Callable[[], Exception],
    expected: type[DeputyError],
    make: Make,
    google: TokenEndpoint,
    ada: Principal,
    grace: Principal,
) -> None:
    """google-auth's error has ours as its cause and holds no token, and another person's call is not affected."""
    credentials, other = make(ada), make(grace)
    for each in (credentials, other):
        await each.ensure(READING)
    google.failure = failure
    api = Api("access-ada-1")
    with pytest.raises(RefreshError) as failed:
        await call(credentials.for_google(), api)

    assert type(failed.value.__cause__) is expected
    assert "access-ada" not in everything_in(failed.value)
    assert await call(other.for_google(), api) == "access-grace-1"


async def test_a_grant_that_is_gone_is_revoked(make: Make, grants: Grants, ada: Principal) -> None:
    """When another request has marked the grant revoked, a call that needs a new token fails for the same reason."""
    credentials = make(ada)
    await credentials.ensure(READING)
    grant = await grants.find(ada)
    assert grant is not None
    await grants.mark_revoked(grant)
    with pytest.raises(RefreshError) as failed:
        await call(credentials.for_google(), Api("access-ada-1"))

    assert type(failed.value.__cause__) is GrantRevokedError
    assert failed.value.__cause__.principal == ada


async def test_a_refresh_from_a_thread_ends_with_the_deadline(
    make: Make, google: TokenEndpoint, database: Database, grants: Grants, clock: Clock, ada: Principal
) -> None:
    """A refresh from a thread ends at the message's deadline, and a token that arrives later is still stored."""
    tokens = ConsentedTokens(Refresher(grants, RefreshLeases(database), google_alone(google), now=clock))
    on_the_loop = threading.get_ident()

    def now() -> float:
        while threading.get_ident() != on_the_loop and not google.asked.is_set():
            time.sleep(0.001)
        return float(google.asked.is_set())  # the deadline passes once a thread's renewal has reached Google

    credentials = Credentials(ada, tokens, Deadline(at=1.0, now=now))
    await credentials.ensure(READING)
    google.gate.clear()
    with pytest.raises(RefreshError, match="time"):
        await asyncio.wait_for(call(credentials.for_google(), Api("access-ada-1")), timeout=30)
    google.gate.set()

    async def is_stored() -> bool:
        grant = await grants.find(ada)
        return grant is not None and grant.access_token == "access-ada-2"

    await until(is_stored)
    assert google.refreshed == ["refresh-ada-1"]


async def test_closing_empties_what_was_handed_out(make: Make, ada: Principal, grace: Principal) -> None:
    """Closing removes the token and the refresh handler from what was handed out; another request's is untouched."""
    credentials, other = make(ada), make(grace)
    for each in (credentials, other):
        await each.ensure(READING)
    kept, handler, theirs = credentials.for_google(), credentials.for_google().refresh_handler, other.for_google()
    credentials.at_scope_end()

    assert (kept.token, kept.refresh_handler) == (None, None)
    with pytest.raises(RefreshError):
        await call(kept, Api())
    with pytest.raises(RefreshError):
        await asyncio.to_thread(handler, None, None)
    with pytest.raises(CredentialsError):
        credentials.for_google()
    assert theirs.token == "access-grace-1"


async def test_a_refresh_under_way_does_not_outlive_the_request(
    make: Make, google: TokenEndpoint, grants: Grants, ada: Principal
) -> None:
    """A thread that waits for a token while its request closes gets none, and the token is stored for the next one."""
    credentials = make(ada)
    await credentials.ensure(READING)
    google.gate.clear()
    kept = credentials.for_google()
    late = asyncio.create_task(call(kept, Api("access-ada-1")))
    await google.asked.wait()
    credentials.at_scope_end()
    google.gate.set()
    with pytest.raises(RefreshError):
        await late

    assert kept.token is None
    with pytest.raises(CredentialsError):
        credentials.for_google()
    grant = await grants.find(ada)
    assert grant is not None
    assert grant.access_token == "access-ada-2"


async def test_closing_while_credentials_are_made_misses_none(make: Make, ada: Principal) -> None:
    """Threads that make credentials during the close get an error or emptied credentials."""
    credentials = make(ada)
    await credentials.ensure(READING)
    made: list[GoogleCredentials] = []

    def make_many() -> None:
        with suppress(CredentialsError):
            while True:
                made.append(credentials.for_google())

    threads = [asyncio.create_task(asyncio.to_thread(make_many)) for _ in range(2)]
    await until(lambda: made)
    credentials.at_scope_end()
    await asyncio.gather(*threads)

    assert made
    assert {each.token for each in made} == {None}


@pytest.mark.parametrize("failure", [None, unavailable, invalid_grant], ids=["fine", "down", "ended"])
async def test_nothing_is_left_without_the_collector(
    failure: Callable[[], Exception] | None, make: Make, google: TokenEndpoint, ada: Principal
) -> None:
    """Closed credentials and what they handed out are freed without the collector, even after a failed renewal."""

    async def request() -> list[weakref.ref[Any]]:
        credentials = make(ada)
        await credentials.ensure(READING)
        google.failure = failure
        handed = credentials.for_google()
        with suppress(RefreshError):
            await call(handed, Api("access-ada-1"))
        with suppress(DeputyError):
            await credentials.ensure(READING)
        credentials.at_scope_end()
        return [weakref.ref(credentials), weakref.ref(handed)]

    with without_the_collector():
        left = await request()
        await fading(left)

        assert [reference() for reference in left] == [None, None]


async def test_an_ensure_that_fails_leaves_nothing(
    make: Make, google: TokenEndpoint, clock: Clock, ada: Principal
) -> None:
    """Credentials whose refresh failed, or that lack a scope, are freed without the collector."""

    async def request(*scopes: str) -> weakref.ref[Credentials]:
        credentials = make(ada)
        with suppress(DeputyError):
            await credentials.ensure(frozenset(scopes))
        credentials.at_scope_end()
        return weakref.ref(credentials)

    with without_the_collector():
        lacking = await request(SEND)
        clock.now += 3600
        google.failure = unavailable
        failed = await request(READ)
        await fading([lacking, failed])

        assert (lacking(), failed()) == (None, None)
