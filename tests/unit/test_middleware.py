"""The middleware of every route: errors become statuses in one place, and bodies have a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from starlette.types import Message

from app.errors import (
    CallbackRefusedError,
    DeputyError,
    GoogleError,
    InvalidMessageError,
    NotFoundError,
    PrincipalError,
    SealError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from interfaces.middleware import install

LIMIT = 100  # bytes
CANARY = "CANARY-7f3a"


class Body(BaseModel):
    """A body with a short text."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=4)


def make_app(error: Exception | None = None) -> FastAPI:
    """Return an application whose routes fail in every way; `/raise` and `/depends` raise the error."""
    app = FastAPI()

    def fail() -> None:
        assert error is not None
        raise error

    @app.get("/raise")
    async def raise_() -> None:
        fail()

    @app.get("/depends", dependencies=[Depends(fail)])
    async def depends() -> None:
        """Do nothing, because this is never reached."""

    @app.post("/body")
    async def body(body: Body) -> str:
        return body.text

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.get("/query")
    async def query(number: Annotated[int, Query(le=9)]) -> int:
        return number

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            fail()

        return StreamingResponse(pieces())

    install(app, max_body_bytes=LIMIT)
    return app


def client(app: FastAPI) -> httpx2.AsyncClient:
    """Return a client of the application itself; an error that leaves the application fails the test."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://deputy.test")


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (InvalidMessageError("no text"), 400, "no text"),
        (PrincipalError("no user"), 400, "no user"),
        (UnauthenticatedError("no token"), 401, "no token"),
        (NotFoundError("no such message"), 404, "no such message"),
        (TooLargeError("too large"), 413, "too large"),
        (UnavailableError("not now"), 503, "not now"),
        (HTTPException(418, "a teapot"), 418, "a teapot"),
    ],
)
@pytest.mark.parametrize("path", ["/raise", "/depends"])
async def test_an_error_that_is_meant_for_the_client_is_told(
    path: str, error: Exception, status: int, detail: str
) -> None:
    """An error for the client is answered with its class and text, from a route and from a dependency alike."""
    async with client(make_app(error)) as http:
        response = await http.get(path)

    assert response.status_code == status
    assert response.json() == {"error": type(error).__name__, "detail": detail}


@pytest.mark.parametrize(
    "error",
    [DeputyError(CANARY), SealError(CANARY), GoogleError(CANARY), CallbackRefusedError(CANARY), RuntimeError(CANARY)],
)
async def test_any_other_error_is_logged_by_its_place_only(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Any other error is a 500 and is logged with its place; its text is in neither the answer nor the log."""
    with caplog.at_level(logging.DEBUG):
        async with client(make_app(error)) as http:
            response = await http.get("/raise")

    assert response.status_code == 500
    assert response.json()["detail"] == "internal server error; the server's log says where"
    assert [record.getMessage() for record in caplog.records if record.name == "interfaces.middleware"] == [
        f"a request failed: {type(error).__name__} at {__file__}:{make_app.__code__.co_firstlineno + 6}"
    ]
    assert CANARY not in response.text + caplog.text


@pytest.mark.parametrize("error", [OperationalError(CANARY, {}, Exception(CANARY)), ConnectionRefusedError(CANARY)])
async def test_a_database_that_is_away_is_a_503(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """When the database is unavailable, the client is asked to try again, and the statement is quoted nowhere."""
    async with client(make_app(error)) as http:
        response = await http.get("/raise")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert CANARY not in response.text + caplog.text
    assert "requests are refused, the database cannot be used" in caplog.text


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (UnauthenticatedError("no token"), "www-authenticate", "Bearer"),
        (UnavailableError("not now"), "retry-after", "5"),
        (HTTPException(405, headers={"Allow": "POST"}), "allow", "POST"),
    ],
)
async def test_a_status_comes_with_its_header(error: Exception, header: str, value: str) -> None:
    """A 401 names the scheme, a 503 says when to try again, and an HTTPException keeps its header."""
    async with client(make_app(error)) as http:
        response = await http.get("/raise")

    assert response.headers[header] == value


async def test_an_unknown_path_is_told_in_the_same_shape() -> None:
    """The router's 404 and 405 are JSON too, and do not repeat the path."""
    async with client(make_app()) as http:
        absent, wrong = await http.get(f"/{CANARY}"), await http.get("/body")

    assert (absent.status_code, wrong.status_code) == (404, 405)
    assert absent.json() == {"error": "HTTPException", "detail": "Not Found"}
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "body",
    [f'{{"text": "{CANARY}"}}', f'{{"text": "a", "{CANARY}": 1}}', f'{{"text": ["{CANARY}"]}}', f'"{CANARY}"', CANARY],
)
async def test_a_body_that_does_not_fit_is_told_without_a_word_of_it(body: str) -> None:
    """The answer names the place and the rule, and repeats no value or key of the client's."""
    async with client(make_app()) as http:
        response = await http.post("/body", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert response.json()["error"] == "RequestValidationError"
    assert response.json()["detail"].startswith("body")
    assert CANARY not in response.text


async def test_a_parameter_that_does_not_fit_is_told() -> None:
    """A query parameter that does not fit is named with its rule, without its value."""
    async with client(make_app()) as http:
        response = await http.get("/query", params={"number": CANARY})

    assert response.status_code == 400
    assert response.json()["detail"].startswith("query.number: Input should be a valid integer")
    assert CANARY not in response.text


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("chunk", [None, 1, 60])
async def test_a_body_has_a_limit_whether_its_length_is_declared(size: int, status: int, chunk: int | None) -> None:
    """A body of exactly the limit passes and one byte more does not, with or without a declared length."""

    async def pieces(step: int) -> AsyncIterator[bytes]:
        for start in range(0, size, step):
            yield bytes(min(step, size - start))

    async with client(make_app()) as http:
        response = await http.post("/raw", content=bytes(size) if chunk is None else pieces(chunk))

    assert response.status_code == status
    assert status == 200 or response.json() == {"error": "TooLargeError", "detail": "a body has at most 100 bytes"}


async def test_a_body_without_a_length_that_fastapi_reads_is_a_413_too() -> None:
    """A body that becomes too large while FastAPI reads it is a 413, although FastAPI turns such errors into a 400."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 50

    async with client(make_app()) as http:
        response = await http.post("/body", content=pieces(), headers={"Content-Type": "application/json"})

    assert response.status_code == 413


@pytest.mark.parametrize("declared", ["9" * 20, "9" * 5000])
async def test_a_declared_length_is_believed(declared: str) -> None:
    """A body that is declared too large is refused, however large the number."""
    async with client(make_app()) as http:
        response = await http.post("/raw", content=b"", headers={"Content-Length": declared})

    assert response.status_code == 413


async def test_a_client_that_hangs_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """When a client disconnects before its body has ended, nothing is logged or answered."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/raw", "headers": [], "query_string": b""}
    await make_app()(scope, receive, send)

    assert sent == []
    assert caplog.records == []


async def test_an_answer_that_has_begun_is_not_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    """An error after the first byte is logged, and the answer is left unfinished, which the server makes visible."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "query_string": b""}
    await make_app(RuntimeError(CANARY))(scope, receive, send)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1] == {"type": "http.response.body", "body": b"one", "more_body": True}
    assert "a request failed: RuntimeError" in caplog.text
    assert CANARY not in caplog.text
