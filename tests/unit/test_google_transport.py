"""The transport of API calls: shared connections, without credentials."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from app.errors import GoogleError
from app.google.transport import MAX_ANSWER_BYTES, NoHttp, PooledHttp
from tests.fakes.loopback import Received, Reply, serve


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    """Yield the connections that everybody shares."""
    with urllib3.PoolManager(maxsize=16) as pool:
        yield pool


def echo_bearer(request: Received) -> Reply:
    """Answer with the bearer after a varying pause, so that answers arrive out of order."""
    time.sleep(hash((request.bearer, request.path)) % 3 / 1000)
    return Reply(json.dumps({"bearer": request.bearer, "path": request.path}).encode())


def test_interleaved_people_get_their_own_answers(pool: urllib3.PoolManager) -> None:
    """800 calls of eight people through one pool in sixteen threads each get their own answer."""
    http = PooledHttp(pool, lambda: 10.0)

    def call(number: int) -> tuple[dict[str, str], dict[str, str]]:
        asked = {"bearer": f"person-{number % 8}", "path": f"/{number}"}
        with_token = {"authorization": f"Bearer {asked['bearer']}"}
        _, content = http.request(loopback.url + asked["path"], headers=with_token)
        return asked, json.loads(content)

    with serve(echo_bearer) as loopback, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(call, range(800)))

    assert len(answers) == 800
    assert [asked for asked, answered in answers if asked != answered] == []


def test_header_names_come_back_in_lower_case(pool: urllib3.PoolManager) -> None:
    """An answer looks like httplib2's: the status as a number and as a field, names in lower case."""
    with serve(lambda _: Reply(b"{}", 404, {"X-Some-Thing": "One"})) as loopback:
        response, content = PooledHttp(pool, lambda: 5.0).request(loopback.url)

    assert (response.status, response["status"], response.reason) == (404, "404", "Not Found")
    assert response["x-some-thing"] == "One"
    assert content == b"{}"


def test_a_compressed_answer_is_decoded(pool: urllib3.PoolManager) -> None:
    """A compressed answer is returned decoded, with its decoded length."""
    packed = gzip.compress(b"a" * 200_000)
    with serve(lambda _: Reply(packed, headers={"Content-Encoding": "gzip"})) as loopback:
        response, content = PooledHttp(pool, lambda: 5.0).request(loopback.url)

    assert content == b"a" * 200_000
    assert response["content-length"] == "200000"
    assert "content-encoding" not in response


def test_an_answer_too_large_for_memory_is_refused(pool: urllib3.PoolManager) -> None:
    """The limit counts decompressed bytes, so a small answer cannot expand without limit."""
    packed = gzip.compress(bytes(MAX_ANSWER_BYTES + 1), compresslevel=1)
    headers = {"Content-Encoding": "gzip"}
    with serve(lambda _: Reply(packed, headers=headers)) as loopback, pytest.raises(GoogleError, match="ask for less"):
        PooledHttp(pool, lambda: 10.0).request(loopback.url)

    assert len(packed) < 1_000_000


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [302, 308, 429, 503])
def test_nothing_is_sent_twice(pool: urllib3.PoolManager, status: int, method: str) -> None:
    """A redirect is returned and a failure is not retried, because the call may have taken effect."""
    headers = {"Location": "/elsewhere", "Retry-After": "0"}
    with serve(lambda _: Reply(b"", status, headers)) as loopback:
        response, _ = PooledHttp(pool, lambda: 5.0).request(loopback.url, method)

    assert response.status == status
    assert len(loopback.received) == 1


@pytest.mark.parametrize("reply", [Reply(b"x" * 2_400, drip=0.05), Reply(b"x" * 2, drip=60.0)], ids=["drip", "stall"])
def test_no_call_outlives_its_time(pool: urllib3.PoolManager, reply: Reply) -> None:
    """A call ends at its deadline if the server stalls, and also if it drips fast enough for the socket."""
    end = time.monotonic() + 0.3
    with serve(lambda _: reply) as loopback, pytest.raises((TimeoutError, urllib3.exceptions.TimeoutError)):
        PooledHttp(pool, lambda: max(0.0, end - time.monotonic())).request(loopback.url)

    assert time.monotonic() - end < 60  # half of what the answer would take


def test_an_answer_that_was_given_up_is_nobody_elses(pool: urllib3.PoolManager) -> None:
    """The connection of a call that timed out is not reused, so nobody else receives the rest of its answer."""
    end = time.monotonic() + 0.1
    slow = Reply(b"for ada only" * 20, drip=0.02)
    with serve(lambda request: slow if request.path == "/ada" else Reply(b"for grace")) as loopback:
        with pytest.raises(TimeoutError):
            PooledHttp(pool, lambda: end - time.monotonic()).request(f"{loopback.url}/ada")
        _, content = PooledHttp(pool, lambda: 5.0).request(f"{loopback.url}/grace")

    assert content == b"for grace"


def test_without_time_nothing_is_sent(pool: urllib3.PoolManager) -> None:
    """A call that has no time left does not reach the server."""
    with serve(lambda _: Reply()) as loopback, pytest.raises(TimeoutError):
        PooledHttp(pool, lambda: 0.0).request(loopback.url)

    assert loopback.received == []


@pytest.mark.parametrize("call", [NoHttp().request, lambda: NoHttp().request("http://127.0.0.1", method="GET")])
def test_no_http_refuses(call: Callable[[], object]) -> None:
    """The templates' transport refuses every request."""
    with pytest.raises(RuntimeError, match="GoogleClient"):
        call()
