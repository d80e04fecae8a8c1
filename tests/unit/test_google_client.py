"""The client of Google's APIs for one person and one message."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
import urllib3
from google.auth.exceptions import RefreshError
from googleapiclient.http import HttpRequest

from app.deadline import Deadline
from app.errors import ConsentRequiredError, GoogleError, GrantRevokedError
from app.google.apis import GoogleApis
from app.google.client import GoogleClient
from app.principal import Principal
from tests.fakes.fading import fading
from tests.fakes.google_api import PRIVATE, FakeCredentials, LoopThreads, Recorder, gmail, google_faults
from tests.fakes.leaks import everything_in
from tests.fakes.loopback import Loopback, Received, Reply, serve

ADA = Principal("http", "demo", "ada")


class Google:
    """A Google on loopback whose clients share one pool and one set of templates."""

    def __init__(self, loopback: Loopback, pool: urllib3.PoolManager) -> None:
        self.received = loopback.received
        self._apis = GoogleApis(loopback.url)
        self._pool = pool
        self._faults = google_faults()

    def client(
        self, credentials: FakeCredentials, seconds: float = 60.0, recorder: Recorder | None = None
    ) -> GoogleClient:
        deadline = Deadline.after(seconds)
        return GoogleClient(
            credentials, self._apis, self._pool, LoopThreads(), deadline, recorder or Recorder(), self._faults
        )

    def get(self, message_id: str) -> HttpRequest:
        messages = self._apis.resource("gmail", "v1", "users", "messages")
        request: HttpRequest = messages.get(userId="me", id=message_id)
        return request


@pytest.fixture
def google() -> Iterator[Google]:
    """Yield the Gmail of two people."""
    with serve(gmail) as loopback, urllib3.PoolManager(maxsize=16) as pool:
        yield Google(loopback, pool)


async def test_two_people_at_once_get_their_own_answers(google: Google) -> None:
    """600 interleaved calls of two people over shared connections and templates each get their own answer."""
    clients = {name: google.client(FakeCredentials(f"token-{name}")) for name in ("ada", "grace")}
    asked = [(name, f"{number}") for number in range(300) for name in clients]

    answers = await asyncio.gather(*(clients[name].execute(google.get(number)) for name, number in asked))

    assert [(answer["snippet"], answer["id"]) for answer in answers] == asked


async def test_two_peoples_batches_at_once_get_their_own_answers(google: Google) -> None:
    """Concurrent batches of two people keep their own answers in order, with at most 50 in an HTTP request."""
    ids = [f"{number}" for number in range(120)]
    clients = {name: google.client(FakeCredentials(f"token-{name}")) for name in ("ada", "grace")}

    ada, grace = await asyncio.gather(
        *(client.execute_batch([google.get(each) for each in ids]) for client in clients.values())
    )

    assert ada == [{"id": each, "snippet": "ada"} for each in ids]
    assert grace == [{"id": each, "snippet": "grace"} for each in ids]
    assert [request.path for request in google.received] == ["/batch"] * 6


@pytest.mark.parametrize(
    "credentials",
    [
        FakeCredentials("token-grace", expires_in=-1, renewed="token-ada"),
        FakeCredentials("token-stale", renewed="token-ada"),
    ],
    ids=["expired by the clock", "refused with 401"],
)
async def test_a_token_that_has_ended_is_renewed_once(google: Google, credentials: FakeCredentials) -> None:
    """Expiry and a 401 each lead to one renewal, and the call is then made with the new token."""
    answer = await google.client(credentials).execute(google.get("1"))

    assert answer["snippet"] == "ada"
    assert len(credentials.renewals) == 1


async def test_a_token_that_ends_within_a_batch_is_renewed_once(google: Google) -> None:
    """Parts of a batch that are refused with 401 are sent again together after one renewal."""
    credentials = FakeCredentials("token-stale", renewed="token-ada")

    answers = await google.client(credentials).execute_batch([google.get(each) for each in "abc"])

    assert [answer["snippet"] for answer in answers] == ["ada"] * 3
    assert len(credentials.renewals) == 1
    assert len(google.received) == 2


async def test_a_new_token_that_is_refused_as_well_ends_the_call(google: Google) -> None:
    """A token is renewed only once: if the new one is refused too, the call ends with the 401."""
    alone, batched = FakeCredentials("token-stale"), FakeCredentials("token-stale")

    with pytest.raises(GoogleError) as failed:
        await google.client(alone).execute(google.get("1"))
    [part] = await google.client(batched).execute_batch([google.get("1")])

    assert (failed.value.status, failed.value.reason) == (401, "authError")
    assert (part.status, part.reason) == (401, "authError")
    assert (len(alone.renewals), len(batched.renewals)) == (1, 1)
    assert alone.refusals == batched.refusals == ["token-nobody"]


async def test_a_grant_that_ends_by_it_is_told_as_such(google: Google) -> None:
    """If the refused token is the grant's own, a call and a batch both say that the grant is revoked."""
    credentials = FakeCredentials("token-stale", ends=True)
    client = google.client(credentials)

    with pytest.raises(GrantRevokedError):
        await client.execute(google.get("1"))
    with pytest.raises(GrantRevokedError):
        await client.execute_batch([google.get("1")])
    assert credentials.refusals == ["token-nobody"] * 2


async def test_another_error_says_nothing_of_the_grant(google: Google) -> None:
    """Neither a mail that is missing nor a renewal that fails for now ends the grant."""
    missing = FakeCredentials("token-ada", ends=True)
    away = FakeCredentials("token-stale", renewed=GoogleError("Google answered 401", status=401), ends=True)

    for credentials, message_id in ((missing, "missing"), (away, "1")):
        with pytest.raises(GoogleError):
            await google.client(credentials).execute(google.get(message_id))
    assert missing.refusals == away.refusals == []


@pytest.mark.parametrize("cause", [GrantRevokedError(ADA), ConsentRequiredError(ADA, frozenset({"s"}))])
async def test_why_a_renewal_failed_is_kept(google: Google, cause: Exception) -> None:
    """The refresh handler's error is raised, whether google-auth wraps it, passes it on or raises it."""
    wrapped = RefreshError("refused")
    wrapped.__cause__ = cause
    for raised in (wrapped, RefreshError("refused", cause), cause):
        credentials = FakeCredentials("token-stale", renewed=raised)

        with pytest.raises(type(cause)) as failed:
            await google.client(credentials).execute(google.get("1"))
        assert failed.value is cause


async def test_a_renewal_that_fails_without_a_reason_is_a_google_error(google: Google) -> None:
    """google-auth's own error about a renewal does not leave the client."""
    credentials = FakeCredentials("token-stale", renewed=RefreshError("refused"))

    with pytest.raises(GoogleError, match="could not be renewed"):
        await google.client(credentials).execute(google.get("1"))


async def test_an_error_says_status_and_reason_and_no_text(google: Google) -> None:
    """An error contains only the machine-readable reason of Google's answer, alone and within a batch."""
    client = google.client(FakeCredentials("token-ada"))

    with pytest.raises(GoogleError) as failed:
        await client.execute(google.get("missing"))
    there, missing = await client.execute_batch([google.get("1"), google.get("missing")])

    assert str(failed.value) == "Google answered 404 notFound to gmail.users.messages.get"
    assert there == {"id": "1", "snippet": "ada"}
    assert (missing.status, missing.reason) == (404, "notFound")
    assert PRIVATE not in everything_in(failed.value) + everything_in(missing)


async def test_an_answer_that_is_no_json_is_a_google_error(google: Google) -> None:
    """An answer that is not JSON is an error that does not quote it, alone and within a batch."""
    client = google.client(FakeCredentials("token-ada"))

    with pytest.raises(GoogleError) as failed:
        await client.execute(google.get("garbled"))
    garbled, there = await client.execute_batch([google.get("garbled"), google.get("1")])

    assert isinstance(garbled, GoogleError)
    assert there == {"id": "1", "snippet": "ada"}
    assert PRIVATE not in everything_in(failed.value) + everything_in(garbled)


@pytest.mark.parametrize("reply", [Reply(b"{}"), Reply(b"{}", headers={"Content-Type": "text/html"}), Reply(b"", 503)])
async def test_a_batch_without_parts_is_a_google_error(reply: Reply) -> None:
    """An answer that is not the batch's, or that lacks a part of it, fails the whole batch."""
    with serve(lambda _: reply) as loopback, urllib3.PoolManager() as pool:
        google = Google(loopback, pool)
        client = google.client(FakeCredentials("token-ada"))

        with pytest.raises(GoogleError):
            await client.execute_batch([google.get("1")])


async def test_a_batch_of_two_apis_is_refused(google: Google) -> None:
    """A batch of two APIs is refused, because each API has its own batch endpoint; an empty batch sends nothing."""
    client = google.client(FakeCredentials("token-ada"))
    files = client.resource("drive", "v3", "files").list()

    with pytest.raises(ValueError, match="one API"):
        await client.execute_batch([google.get("1"), files])
    assert await client.execute_batch([]) == []
    assert google.received == []


async def test_no_answer_in_time_is_a_google_error() -> None:
    """A call ends at the message's deadline, and its error does not contain the URL."""
    endless = Reply(b"{}" * 5_000, drip=0.1)
    with serve(lambda _: endless) as loopback, urllib3.PoolManager() as pool:
        google = Google(loopback, pool)
        async with asyncio.timeout(60):
            with pytest.raises(GoogleError, match=r"no answer to gmail\.users\.messages\.get \(TimeoutError\)$"):
                await google.client(FakeCredentials("token-ada"), seconds=0.3).execute(google.get("1"))


async def test_no_connection_is_a_google_error() -> None:
    """If Google cannot be reached, the error does not show what was asked."""
    with urllib3.PoolManager() as pool:
        google = Google(Loopback("http://127.0.0.1:1"), pool)
        request = google.get("private-id")

        with pytest.raises(GoogleError, match="no answer") as failed:
            await google.client(FakeCredentials("token-ada")).execute(request)
        assert "private-id" not in everything_in(failed.value)


async def test_a_client_is_gone_when_its_request_is(google: Google) -> None:
    """A client is freed after its last reference without the collector, because nothing shared keeps it."""
    client = google.client(FakeCredentials("token-ada"))
    await client.execute(google.get("1"))
    await client.execute_batch([google.get("1")])
    gone = weakref.ref(client)
    gc.disable()
    try:
        del client
        await fading([gone])
        assert gone() is None
    finally:
        gc.enable()


async def test_every_attempt_is_recorded_with_its_answer(google: Google) -> None:
    """Every attempt is recorded, each item of a batch separately, in a list of its own for each person."""
    of_ada, of_grace = Recorder(), Recorder()
    ada = google.client(FakeCredentials("token-old", renewed="token-ada"), recorder=of_ada)
    grace = google.client(FakeCredentials("token-grace"), recorder=of_grace)
    await ada.execute(google.get("1"))
    await grace.execute_batch([google.get("1"), google.get("missing")])
    with pytest.raises(GoogleError):
        await grace.execute(google.get("missing"))

    get = "gmail.users.messages.get"
    assert of_ada.calls == [(get, 401), (get, 200)]
    assert of_grace.calls == [(get, 200), (get, 404), (get, 404)]


async def test_a_batch_that_is_refused_is_recorded_twice(google: Google) -> None:
    """The refused items of a batch are sent again, and both attempts are recorded item by item."""
    recorder = Recorder()
    client = google.client(FakeCredentials("token-old", renewed="token-ada"), recorder=recorder)
    answers = await client.execute_batch([google.get("1"), google.get("2")])
    refused = [status for _, status in recorder.calls].count(401)

    assert [answer["snippet"] for answer in answers] == ["ada", "ada"]
    assert (refused, [status for _, status in recorder.calls].count(200)) == (2, 2)


async def test_what_is_given_up_counts_as_sent() -> None:
    """A call whose caller was cancelled is recorded as sent, because it may still take effect."""
    entered, leave = threading.Event(), threading.Event()

    def slow(request: Received) -> Reply:
        entered.set()
        leave.wait(10)
        return gmail(request)

    recorder = Recorder()
    with serve(slow) as loopback, urllib3.PoolManager() as pool:
        google = Google(loopback, pool)
        call = asyncio.create_task(
            google.client(FakeCredentials("token-ada"), recorder=recorder).execute(google.get("1"))
        )
        await asyncio.to_thread(entered.wait, 10)
        call.cancel()
        await asyncio.wait([call])
        calls = list(recorder.calls)
        leave.set()

    assert calls == [("gmail.users.messages.get", None)]


async def test_nothing_is_sent_again_for_a_caller_that_is_gone() -> None:
    """A call that is refused after its caller was cancelled is not repeated, because its rows are already written."""
    entered, leave = threading.Event(), threading.Event()

    def slow(request: Received) -> Reply:
        if request.bearer == "token-old":
            entered.set()
            leave.wait(10)
        return gmail(request)

    of_ada, of_grace = Recorder(), Recorder()
    old = FakeCredentials("token-old", renewed="token-ada")
    with serve(slow) as loopback, urllib3.PoolManager() as pool:
        google = Google(loopback, pool)
        call = asyncio.create_task(google.client(old, recorder=of_ada).execute(google.get("1")))
        await asyncio.to_thread(entered.wait, 10)
        call.cancel()
        await asyncio.wait([call])
        await google.client(FakeCredentials("token-grace"), recorder=of_grace).execute(google.get("1"))
        leave.set()
        await asyncio.get_running_loop().shutdown_default_executor()

    assert (len(old.renewals), [each.bearer for each in loopback.received]) == (1, ["token-old", "token-grace"])
    assert of_ada.calls == [("gmail.users.messages.get", None)]
    assert of_grace.calls == [("gmail.users.messages.get", 200)]


async def test_what_is_not_sent_is_not_recorded(google: Google) -> None:
    """A call whose token could not be renewed is not sent and not recorded."""
    recorder = Recorder()
    credentials = FakeCredentials("token-ada", expires_in=-10, renewed=RefreshError("over"))
    with pytest.raises(GoogleError):
        await google.client(credentials, recorder=recorder).execute(google.get("1"))

    assert (recorder.calls, google.received) == ([], [])
