"""The HTTP interface: every bad input gets a clear 4xx in JSON, and nobody reads another person's messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages
from app.delivery.store.stops import STOPPED
from app.main import create_app
from app.messages import MAX_TEXT_LENGTH
from app.principal import Principal
from tests.fakes.environment import Environment, open_environment, with_http
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "dpt_a-secret-that-nobody-should-see-again"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack."""
    async with open_environment(Path(tmp_path_factory.mktemp("http"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with environment.server(lambda container: ScriptedModel().install(container)) as server:
        yield server


async def post(server: Server, principal: Principal, content: Any, **headers: str) -> httpx2.Response:
    """Post raw content with a valid token."""
    headers = {"Content-Type": "application/json", **await server.bearer(principal), **headers}
    return await server.client.post("/v1/messages", content=content, headers=headers)


async def count_messages(server: Server) -> int:
    """Return how many messages are stored."""
    async with server.container.database().reading() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(messages))).scalar_one())


def assert_refused(response: httpx2.Response, status: int) -> None:
    """Assert that the response is a refusal in JSON that does not repeat the input."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error", "detail"}
    assert response.json()["detail"]
    assert SECRET not in response.text


def body(**changes: Any) -> bytes:
    """Return a message as JSON; a change to None removes a key."""
    fields = {"conversation": "main", "text": "repeat hello", **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


BAD_BODIES = {
    "no body": b"",
    "broken JSON": b'{"text": "' + SECRET.encode(),
    "not an object": json.dumps([SECRET]).encode(),
    "a string": json.dumps(SECRET).encode(),
    "deeply nested": b"[" * 100_000,
    "a huge number": b'{"text": ' + b"9" * 10_000 + b"}",
    "not UTF-8": b'{"conversation": "main", "text": "\xff\xfe"}',
    "no conversation": body(conversation=None),
    "no text": body(text=None),
    "empty text": body(text=""),
    "blank text": body(text=" \n\t"),
    "too long text": body(text="x" * (MAX_TEXT_LENGTH + 1)),
    "empty conversation": body(conversation=""),
    "too long conversation": body(conversation="x" * 201),
    "empty id": body(id=""),
    "too long id": body(id="x" * 201),
    "text of another type": body(text={"secret": SECRET}),
    "id of another type": body(id=7),
    "unknown key": body(**{SECRET: SECRET}),
    "unknown key that is no text": b'{"conversation": "main", "text": "hello", "\\ud800": 1}',
    "NUL in text": body(text="hello\x00"),
    "NUL in conversation": body(conversation="main\x00"),
    "NUL in id": body(id="1\x00"),
    "half a surrogate pair in text": body(text="hello \ud83d"),
    "half a surrogate pair in conversation": body(conversation="\ude00"),
    "half a surrogate pair in id": body(id="\ud83d"),
}


@pytest.mark.parametrize("content", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_refused(server: Server, ada: Principal, content: bytes) -> None:
    """A bad body gets a 400 that says why without repeating the input, and nothing is stored."""
    before = await count_messages(server)
    response = await post(server, ada, content)

    assert_refused(response, 400)
    assert await count_messages(server) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_another_content_type_is_refused(server: Server, ada: Principal, kind: str) -> None:
    """A body without the JSON content type is refused, because forms on other sites can send such bodies."""
    before = await count_messages(server)
    response = await post(server, ada, body(), **{"Content-Type": kind})

    assert_refused(response, 400)
    assert await count_messages(server) == before


BAD_TOKENS = {
    "no header": {},
    "nothing in it": {"Authorization": ""},
    "no token": {"Authorization": "Bearer"},
    "another scheme": {"Authorization": f"Basic {SECRET}"},
    "a wrong token": {"Authorization": f"Bearer {SECRET}"},
    "not ASCII": {"Authorization": b"Bearer \xe4\xff"},
}


@pytest.mark.parametrize("headers", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/messages"), ("GET", f"/v1/messages/{'0' * 32}"), ("GET", "/v1/me")]
)
async def test_without_a_valid_token_nothing_is_done(
    server: Server, headers: dict[str, str], method: str, path: str
) -> None:
    """Every route answers 401 to a request without a valid token, and says how to send one."""
    before = await count_messages(server)
    response = await server.client.request(method, path, content=body(), headers=headers)

    assert_refused(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert await count_messages(server) == before


async def test_a_revoked_token_is_refused(server: Server, ada: Principal, grace: Principal) -> None:
    """A revoked token is refused, and another person's token still works."""
    ada = Principal("http", "demo", "ada-revoked")
    headers = {person: await server.bearer(person) for person in (ada, grace)}
    before = [(await server.client.get("/v1/me", headers=headers[person])).status_code for person in (ada, grace)]
    await server.container.api_tokens().revoke(ada)
    after = [(await server.client.get("/v1/me", headers=headers[person])) for person in (ada, grace)]

    assert before == [200, 200]
    assert_refused(after[0], 401)
    assert after[1].json()["principal"] == str(grace)


async def test_a_declared_oversize_body_is_refused_unread(server: Server, ada: Principal) -> None:
    """A body whose declared length exceeds the limit is refused before it is sent."""
    length = str(server.settings.server.max_body_bytes + 1)
    headers = {**await server.bearer(ada), "Content-Type": "application/json", "Content-Length": length}
    reader, writer = await asyncio.open_connection("127.0.0.1", server.settings.server.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "deputy", **headers}.items())
    writer.write(f"POST /v1/messages HTTP/1.1\r\n{head}\r\n".encode())
    answer = await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"TooLargeError" in answer


async def test_a_chunked_oversize_body_is_refused(server: Server, ada: Principal) -> None:
    """A body without a declared length is refused once it exceeds the limit."""
    limit = server.settings.server.max_body_bytes

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"conversation": "main", "text": "'
        for _ in range(limit // 50_000):
            yield b"x" * 50_000

    before = await count_messages(server)
    response = await post(server, ada, chunks())

    assert_refused(response, 413)
    assert await count_messages(server) == before


async def test_a_body_at_the_limit_is_read(server: Server, ada: Principal) -> None:
    """A body of exactly the maximum size is accepted."""
    limit = server.settings.server.max_body_bytes
    padded = body(text="repeat hello") + b" " * (limit - len(body(text="repeat hello")))
    response = await post(server, ada, padded)

    assert len(padded) == limit
    assert response.json()["answer"] == "hello"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1", 404),
        ("POST", "/v2/messages", 404),
        ("PUT", "/v1/messages", 405),
        ("DELETE", "/v1/me", 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/static/../app/main.py", 404),
    ],
)
async def test_an_unknown_route_is_refused(server: Server, method: str, path: str, status: int) -> None:
    """An unknown route gets a 404 in JSON, and a wrong method a 405."""
    assert_refused(await server.client.request(method, path), status)


async def test_somebody_elses_message_is_as_unknown_as_none(server: Server, ada: Principal, grace: Principal) -> None:
    """Another person's message gets the same 404 as one that does not exist."""
    message = (await server.ask(ada, "repeat hello")).json()["message"]
    path = "/v1/messages/"
    mine = await server.client.get(path + message, headers=await server.bearer(ada))
    theirs = await server.client.get(path + message, headers=await server.bearer(grace))
    unknown = await server.client.get(path + "0" * 32, headers=await server.bearer(grace))

    assert mine.json()["answer"] == "hello"
    assert_refused(theirs, 404)
    assert theirs.content == unknown.content


@pytest.mark.parametrize("message_id", ["%00", "x" * 5000, "%ED%A0%80", "..%2F..", "' OR 1=1 --"])
async def test_a_malformed_message_id_is_refused(server: Server, ada: Principal, message_id: str) -> None:
    """A malformed message id gets a 404."""
    response = await server.client.get(f"/v1/messages/{message_id}", headers=await server.bearer(ada))

    assert_refused(response, 404)


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon", ""])
async def test_a_wait_out_of_range_is_refused(server: Server, ada: Principal, wait: str) -> None:
    """A wait that is not between 0 and 60 seconds is refused."""
    message = (await server.ask(ada, "repeat hello")).json()["message"]
    response = await server.client.get(
        f"/v1/messages/{message}", params={"wait": wait}, headers=await server.bearer(ada)
    )

    assert_refused(response, 400)


async def test_the_same_id_of_two_people_is_two_messages(server: Server, ada: Principal, grace: Principal) -> None:
    """A repeated id returns the first answer to its sender; the same id from another person is a separate message."""
    first = (await server.ask(ada, "repeat one", id="7")).json()
    again = (await server.ask(ada, "repeat two", id="7")).json()
    other = (await server.ask(grace, "repeat three", id="7")).json()

    assert again == first
    assert (first["answer"], other["answer"]) == ("one", "three")


async def test_an_answer_that_takes_longer_is_fetched_later(environment: Environment, ada: Principal) -> None:
    """A POST returns 202 when its wait ends, and a GET then waits for the answer."""
    model = ScriptedModel()
    interfaces = with_http(environment.settings, wait_seconds=0.05)
    async with environment.in_process(model.install, interfaces=interfaces) as server:
        posted = await server.ask(ada, "wait hello")
        fetched = asyncio.create_task(server.told(ada, posted.json()["message"]))
        await asyncio.sleep(0)
        model.gate.set()

        assert posted.status_code == 202
        assert set(posted.json()) == {"message", "state"}
        assert (await fetched)["answer"] == "waited hello"


async def test_an_error_that_nobody_foresaw_tells_nothing(
    environment: Environment, ada: Principal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error gets a 500 in JSON, and its text is neither in the answer nor in the log."""

    async def broken(token: str) -> Principal:
        raise LookupError(SECRET)

    async with environment.in_process(database="broken") as server:
        headers = await server.bearer(ada)
        monkeypatch.setattr(server.container.api_tokens(), "principal_of", broken)
        response = await server.client.get("/v1/me", headers=headers)

    assert_refused(response, 500)
    assert "LookupError at " in caplog.text
    assert SECRET not in caplog.text


async def test_health_and_readiness(environment: Environment) -> None:
    """`/healthz` always answers 200; `/readyz` answers 503 before the start and without a database."""
    async with environment.in_process(database="health") as server:
        ready = asyncio.Event()
        transport = httpx2.ASGITransport(create_app(server.container, server.settings, ready))
        async with httpx2.AsyncClient(transport=transport, base_url="http://deputy.test") as client:
            before = await client.get("/readyz")
            ready.set()
            during = await client.get("/readyz")
            with server.container.database.override(_Away()):
                away = await client.get("/readyz")
            alive = await client.get("/healthz")

    assert (before.status_code, during.status_code, away.status_code, alive.status_code) == (503, 200, 503, 200)
    assert (before.json()["ready"], during.json()["ready"], away.json()["ready"]) == (False, True, False)
    assert "database" in away.json()["why"]


class _Away:
    """A database to which no connection is possible."""

    async def check(self) -> None:
        raise ConnectionRefusedError


async def test_a_message_is_stopped_by_its_owner_alone(server: Server, ada: Principal, grace: Principal) -> None:
    """A person can stop their own message; another person's message gets a 404 and goes on."""
    await server.connect(ada, ADA)
    said = await server.ask(ada, "/gmail_send to=nobody@example.com subject=x body=y", conversation="stopping")
    path = f"/v1/messages/{said.json()['message']}/stop"
    foreign, malformed = [
        await server.client.post(where, headers=await server.bearer(grace)) for where in (path, "/v1/messages/x/stop")
    ]
    before = await server.told(ada, said.json()["message"], wait=0)
    stopped = await server.client.post(path, headers=await server.bearer(ada))

    assert_refused(foreign, 404)
    assert (malformed.status_code, malformed.json()) == (404, foreign.json())
    assert (before["state"], stopped.status_code, stopped.json()["state"]) == ("parked", 200, "failed")
    assert stopped.json()["answer"].startswith(STOPPED)
