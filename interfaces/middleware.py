"""For every route: translate errors into HTTP statuses, and limit the size of bodies."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.database.reach import reason
from app.errors import DeputyError, MessageError, PrincipalError, TooLargeError, UnavailableError
from app.log_once import LogOnce
from app.supervisor import describe_crash

log = logging.getLogger(__name__)

# asyncpg raises a plain OSError when there is no database to connect to.
DATABASE_FAILURES = (SQLAlchemyError, OSError)


def install(app: FastAPI, *, max_body_bytes: int) -> None:
    """Translate errors into ``{"error": class, "detail": text}``, and refuse bodies over the limit.

    An answer never repeats any part of a body, and the log never contains an error's own text.
    """
    app.state.log_once = LogOnce(log)
    app.add_middleware(LimitBody, max_bytes=max_body_bytes)
    app.add_middleware(LastResort)  # outermost
    for kind in (DeputyError, HTTPException, RequestValidationError, *DATABASE_FAILURES):
        app.add_exception_handler(kind, _translate)


def _log_once(request: Request) -> LogOnce:
    state: LogOnce = request.app.state.log_once
    return state


async def _translate(request: Request, error: Exception) -> JSONResponse:
    headers: dict[str, str] = {}
    if isinstance(error.__cause__, TooLargeError):
        error = error.__cause__  # FastAPI turns any error while it reads a body into a 400
    if isinstance(error, DATABASE_FAILURES):
        why = reason(error)  # told once, in however many places it shows
        _log_once(request).error(
            why, "requests are refused, the database cannot be used: %s (%s)", why, describe_crash(error)
        )
        error = UnavailableError("the server cannot reach its database; try again")
    if isinstance(error, MessageError):
        status, detail = error.status, str(error)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if status in (429, 503):
            headers["Retry-After"] = "5"
    elif isinstance(error, PrincipalError):
        status, detail = 400, str(error)
    elif isinstance(error, RequestValidationError):
        status = 400
        detail = "; ".join(map(_describe, error.errors()))
    elif isinstance(error, HTTPException):
        status, detail = error.status_code, str(error.detail)
        headers.update(error.headers or {})
    else:
        log.error("a request failed: %s", describe_crash(error))
        status, detail = 500, "internal server error; the server's log says where"
    return JSONResponse({"error": type(error).__name__, "detail": detail}, status, headers=headers)


def _describe(fault: Mapping[str, Any]) -> str:
    place = [str(step) for step in fault["loc"]]
    if fault["type"] == "extra_forbidden":
        return f"{'.'.join(place[:-1])}: there is a key that is not known here"  # the key is the client's own text
    return f"{'.'.join(place)}: {fault['msg']}"


class LastResort:
    """Answers an unexpected error with 500, and logs only where it was raised, because its text may quote a message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and let no error out."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            return  # the client is gone
        except Exception as error:  # the outermost edge of a request's task
            answer = await _translate(Request(scope), error)
            if not started:
                await answer(scope, receive, send)


class LimitBody:
    """Refuses a request body over a limit, by its declared length or as soon as it exceeds the limit.

    FastAPI's own `max_body_size` refuses a declared length in plain text, outside every middleware.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        seen = int(declared[:19]) if declared.isdigit() else 0  # Python refuses to read thousands of digits
        if seen > self._max_bytes:
            response = await _translate(Request(scope), self._too_large())
            await response(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"a body has at most {self._max_bytes} bytes")
