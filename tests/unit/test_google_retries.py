"""Google's transient faults are retried where nothing can happen twice; lasting ones are logged for operators."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import urllib3
from googleapiclient.http import HttpRequest

from app.deadline import Deadline
from app.errors import GoogleError
from app.google.apis import GoogleApis
from app.google.client import GoogleClient
from app.oauth.retrying import MAX_TRIES
from app.toolkits.gmail import GmailToolkit
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, batch, google_faults
from tests.fakes.google_sign_in import google_sign_in, token_answer
from tests.fakes.loopback import Received, Reply, serve
from tests.fakes.zones import FixedZone

UNAVAILABLE = Reply(b"{}", 503)
BUSY = Reply(b"{}", 429, headers={"Retry-After": "0"})
USED_UP = Reply(json.dumps({"error": {"errors": [{"reason": "dailyLimitExceeded"}]}}).encode(), 429)
NOT_ENABLED = Reply(json.dumps({"error": {"errors": [{"reason": "accessNotConfigured"}]}}).encode(), 403)
REFUSED = Reply(b"{}", 400)


def reading(apis: GoogleApis) -> HttpRequest:
    """Return a request that only reads."""
    request: HttpRequest = apis.resource("gmail", "v1", "users", "messages").get(userId="me", id="1")
    return request


def sending(apis: GoogleApis) -> HttpRequest:
    """Return a request that must not take effect twice."""
    request: HttpRequest = apis.resource("gmail", "v1", "users", "messages").send(userId="me", body={"raw": ""})
    return request


async def tries(first: Reply, make: Callable[[GoogleApis], HttpRequest], seconds: float = 60.0) -> int:
    """Return how often a request is sent if its first try gets this answer and later ones succeed."""
    answers = [first]
    with serve(lambda _: answers.pop() if answers else Reply(b"{}")) as loopback, urllib3.PoolManager() as pool:
        apis, deadline = GoogleApis(loopback.url), Deadline.after(seconds)
        ada = FakeCredentials("token-ada")
        client = GoogleClient(ada, apis, pool, LoopThreads(), deadline, Recorder(), google_faults())
        try:
            await client.execute(make(apis))
        except GoogleError:
            assert len(loopback.received) == 1
        return len(loopback.received)


@pytest.mark.parametrize(
    ("reply", "make", "times"),
    [
        (UNAVAILABLE, reading, 2),
        (BUSY, reading, 2),
        (UNAVAILABLE, sending, 1),  # the mail may have been sent
        (BUSY, sending, 2),  # the mail was not sent
        (USED_UP, reading, 1),
        (NOT_ENABLED, reading, 1),
        (REFUSED, reading, 1),
    ],
)
async def test_a_call_is_repeated_where_that_helps_and_cannot_double_anything(
    reply: Reply, make: Callable[[GoogleApis], HttpRequest], times: int
) -> None:
    """A read is retried after a 503 and a 429, a write only after a refusal, and neither after a lasting fault."""
    assert await tries(reply, make) == times


RATE = Reply(json.dumps({"error": {"errors": [{"reason": "rateLimitExceeded"}]}}).encode(), 403)
BACKEND = Reply(json.dumps({"error": {"errors": [{"reason": "backendError"}]}}).encode(), 503)


class Mails:
    """A Gmail that answers parts of batches, fails the first tries for some mails and counts what it did.

    Attributes:
        batches: The ids of the mails of each batch that came in, and of the person who sent it.
        done: How often each mail was changed or read.
    """

    def __init__(self, faults: Mapping[str, Sequence[Reply]]) -> None:
        self._faults = {name: list(replies) for name, replies in faults.items()}
        self._lock = threading.Lock()
        self.batches: list[tuple[str, set[str]]] = []
        self.done: Counter[tuple[str, str]] = Counter()

    def answer(self, request: Received) -> Reply:
        """Answer a batch and record it."""
        ids: set[str] = set()

        def part(inner: Received) -> Reply:
            name = inner.path.partition("?")[0].removesuffix("/modify").rpartition("/")[2]
            ids.add(name)
            with self._lock:
                if self._faults.get(name):
                    return self._faults[name].pop(0)
                self.done[inner.bearer, name] += 1
            return Reply(json.dumps({"id": name}).encode())

        reply = batch(request, part)
        with self._lock:
            self.batches.append((request.bearer, ids))
        return reply


async def archived(mails: Mails, person: str, ids: Sequence[str], seconds: float = 60.0) -> Any:
    """Archive these mails with a person's Gmail toolkit and return its result."""
    with serve(mails.answer) as loopback, urllib3.PoolManager() as pool:
        apis, deadline = GoogleApis(loopback.url), Deadline.after(seconds)
        credentials = FakeCredentials(f"token-{person}")
        client = GoogleClient(credentials, apis, pool, LoopThreads(), deadline, Recorder(), google_faults())
        return await GmailToolkit(client, FixedZone()).archive([*ids])


@pytest.mark.parametrize("fault", [BUSY, RATE, UNAVAILABLE, BACKEND], ids=["429", "rate", "503", "backend"])
async def test_a_part_of_a_batch_that_fails_is_sent_again_alone(fault: Reply) -> None:
    """Only the failed parts of a batch are sent again, for two people at once."""
    mails = Mails({"a3": [fault], "g1": [fault, fault]})
    ada, grace = await asyncio.gather(
        archived(mails, "ada", ["a1", "a2", "a3"]), archived(mails, "grace", ["g1", "g2"])
    )

    assert (ada, grace) == ({"archived": ["a1", "a2", "a3"]}, {"archived": ["g1", "g2"]})
    assert set(mails.done.values()) == {1}
    assert [ids for bearer, ids in mails.batches if bearer == "token-ada"] == [{"a1", "a2", "a3"}, {"a3"}]
    assert [ids for bearer, ids in mails.batches if bearer == "token-grace"] == [{"g1", "g2"}, {"g1"}, {"g1"}]


async def test_the_rest_of_a_batch_is_reported_by_its_ids() -> None:
    """Neither a lasting fault nor one that asks for a longer wait than the deadline allows is retried."""
    patient = Reply(b"{}", 429, headers={"Retry-After": "3600"})
    mails = Mails({"a1": [REFUSED], "a2": [patient], "a3": [NOT_ENABLED]})
    result = await archived(mails, "ada", ["a1", "a2", "a3", "a4"])

    assert result["archived"] == ["a4"]
    assert [each["id"] for each in result["problems"]] == ["a1", "a2", "a3"]
    assert [ids for _, ids in mails.batches] == [{"a1", "a2", "a3", "a4"}]


async def test_the_deadline_of_the_message_is_never_exceeded() -> None:
    """A pause that Google asks for is not begun if it would exceed the deadline."""
    patient = Reply(b"{}", 503, headers={"Retry-After": "3600"})

    assert await tries(patient, reading) == 1


async def test_a_fault_that_does_not_pass_in_time_is_an_error() -> None:
    """After the maximum number of tries, the last error is raised."""
    with serve(lambda _: UNAVAILABLE) as loopback, urllib3.PoolManager() as pool:
        apis, ada = GoogleApis(loopback.url), FakeCredentials("token-ada")
        client = GoogleClient(ada, apis, pool, LoopThreads(), Deadline.after(60), Recorder(), google_faults())
        with pytest.raises(GoogleError):
            await client.execute(reading(apis))

    assert len(loopback.received) == MAX_TRIES


async def test_what_only_an_administrator_can_fix_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A fault that only an administrator can fix is logged once, with what to do, however many calls meet it."""
    with serve(lambda _: NOT_ENABLED) as loopback, urllib3.PoolManager() as pool:
        apis, faults = GoogleApis(loopback.url), google_faults()
        for name in ("ada", "grace"):
            credentials, deadline = FakeCredentials(f"token-{name}"), Deadline.after(60)
            client = GoogleClient(credentials, apis, pool, LoopThreads(), deadline, Recorder(), faults)
            with pytest.raises(GoogleError):
                await client.execute(reading(apis))
    lines = [record.getMessage() for record in caplog.records if record.name == "app.oauth.faults"]

    assert len(lines) == 1
    assert "accessNotConfigured" in lines[0]
    assert "Google Cloud console" in lines[0]


@pytest.mark.parametrize(
    "changes",
    [{"expires_in": "3599"}, {"scope": None}, {"expires_in": None}, {"scope": "b  a", "token_type": None}],
    ids=str,
)
async def test_an_answer_that_the_standard_allows_is_accepted(changes: dict[str, object]) -> None:
    """A refresh is accepted with `expires_in` as text or missing, and without `scope` (RFC 6749 section 5.1)."""
    with google_sign_in() as google:
        google.answers["/token"] = token_answer(**changes)
        tokens = await google.auth.refresh("1//old")

    assert tokens.access_token == "ya29.access"
    assert 4000 < tokens.expires_at < 5000  # an hour after the clock's 1000


async def test_a_rotated_refresh_token_is_never_lost() -> None:
    """A rotated refresh token is returned even if the answer lacks everything else, because the old one has ended."""
    with google_sign_in() as google:
        google.answers["/token"] = {"refresh_token": "1//new"}
        tokens = await google.auth.refresh("1//old")

    assert (tokens.refresh_token, tokens.access_token) == ("1//new", "")
