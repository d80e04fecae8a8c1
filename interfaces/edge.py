"""What holds for every route: errors become statuses in one place, and bodies have a limit."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import DeputyError, MessageError, PrincipalError, TooLargeError


def install(app: FastAPI, *, max_body_bytes: int) -> None:
    """Translate errors into ``{"error": class, "detail": text}``, and refuse bodies over the limit.

    Nothing of a body is repeated in an answer.
    """
    app.add_middleware(LimitBody, max_bytes=max_body_bytes)
    app.add_exception_handler(DeputyError, _translate)
    app.add_exception_handler(HTTPException, _translate)
    app.add_exception_handler(RequestValidationError, _translate)


async def _translate(_request: Request, error: Exception) -> JSONResponse:
    headers: dict[str, str] = {}
    if isinstance(error, MessageError):
        status, detail = error.status, str(error)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if status == 503:
            headers["Retry-After"] = "5"
    elif isinstance(error, PrincipalError):
        status, detail = 400, str(error)
    elif isinstance(error, RequestValidationError):
        status = 400
        detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    elif isinstance(error, HTTPException):
        status, detail = error.status_code, str(error.detail)
        headers.update(error.headers or {})
    else:
        status, detail = 500, "an error of the server; its log says where"
    return JSONResponse({"error": type(error).__name__, "detail": detail}, status, headers=headers)


class LimitBody:
    """Refuses a request body over a limit, by its declared length or as soon as it is over."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        seen = int(declared) if declared.isdigit() else 0
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
