"""Google's REST APIs as their discovery documents describe them: calls and answers are both checked against them.

A call is checked in this order: its path names a method, its bearer token is valid, the token's scopes allow the
method, its parameters and its body fit the document. The answer must fit the document too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from app.sandbox.google.discovery import Route, find_route
from app.sandbox.google.fields import FieldsError, Selection, parse_fields, select
from app.sandbox.google.grants import SandboxGrants
from app.sandbox.google.media import Media, MediaError, read_upload
from app.sandbox.google.parameters import ParameterError, read_parameters
from app.sandbox.google.resumable import UploadSession, UploadSessions, check_media
from app.sandbox.google.schemas import without_nulls
from app.sandbox.log import Call, bearer_of, fingerprint
from app.sandbox.people import Person, SandboxPeople

logger = logging.getLogger(__name__)

_MOST_JSON = 10 * 1024 * 1024  # bytes of a call that uploads nothing


class ApiError(Exception):
    """The API refuses a call.

    Attributes:
        code: The HTTP status.
        message: Google's message.
        reason: Google's machine-readable reason, such as ``notFound``.
    """

    _STATUSES: Mapping[int, str] = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        409: "ALREADY_EXISTS",
        412: "FAILED_PRECONDITION",
        500: "INTERNAL",
        501: "UNIMPLEMENTED",
    }

    def __init__(self, code: int, message: str, reason: str = "invalidArgument") -> None:
        self.code = code
        self.message = message
        self.reason = reason
        super().__init__(message)

    def json(self) -> dict[str, Any]:
        """Return the error as Google writes it: https://cloud.google.com/apis/design/errors#http_mapping."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
                "status": self._STATUSES.get(self.code, "UNKNOWN"),
            }
        }


_NO_UPLOAD = ApiError(404, "Not Found", "notFound")


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A call on the wire; `target` is the percent-encoded path with its query, header names are in lower case."""

    verb: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An answer on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A call that fits its method's description. Lives for one call.

    Attributes:
        person: The person whose credentials it carries.
        scopes: The token's scopes that allow the method.
        parameters: The path's and the query's parameters, typed, with the document's defaults; repeated ones as a list.
        body: The JSON body, or an empty mapping.
        media: The uploaded media, or None.
        if_match: The etag of the version that is to be changed, or None.
    """

    person: Person
    scopes: frozenset[str]
    parameters: Mapping[str, Any]
    body: Mapping[str, Any]
    media: Media | None = None
    if_match: str | None = None


Owner = tuple[str, frozenset[str]] | None  # of a bearer: the address, and the OAuth scopes; None if it is not valid
Handler = Callable[[ApiRequest], Mapping[str, Any] | bytes | None]  # bytes of a file that is downloaded


class RestApi:
    """Every method of every API; those with a handler work, the others answer 501. Lives with the sandbox."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        people: SandboxPeople,
        grants: SandboxGrants,
        record: Callable[[Call], None],
        now: Callable[[], float],
    ) -> None:
        self._handlers = handlers
        self._people = people
        self._grants = grants
        self._record = record
        self._now = now
        self._uploads: UploadSessions[WireResponse] = UploadSessions()

    def answer(self, request: WireRequest, api: str | None = None) -> WireResponse:
        """Answer one call, and log it; `api` limits the call to one API, such as ``gmail.v1``."""
        bearer = bearer_of(request.headers.get("authorization"))
        owner = self._grants.owner(bearer)
        path, _, query = request.target.partition("?")
        if upload := dict(parse_qsl(query)).get("upload_id"):
            return self._go_on(upload, request, owner, bearer)
        found = find_route(request.verb, path)
        method_id = found[0].method_id if found else "unknown"
        try:
            if found is None or (api and found[0].api.name != api):
                raise ApiError(404, f"The sandbox knows no method at {request.verb} {path}.", "notFound")
            response = self._call(*found, query, request, owner)
        except ApiError as error:
            response = error_response(error, found[0] if found else None)
        return self._recorded(method_id, owner, bearer, response, query)

    def _go_on(self, upload_id: str, request: WireRequest, owner: Owner, bearer: str | None) -> WireResponse:
        """Take the next piece of an upload, or say how much of it has arrived."""
        session = self._uploads.find(upload_id, owner[0] if owner else None)
        if session is None or request.verb != "PUT":
            error = ApiError(401, "Invalid Credentials", "authError") if owner is None else _NO_UPLOAD
            return self._recorded("unknown", owner, bearer, error_response(error))
        try:
            response = session.take(request.headers, request.body)
        except MediaError as error:
            response = error_response(ApiError(400, str(error), "badRequest"))
        except ApiError as error:
            response = error_response(error)
        if response is None:
            arrived = {"Range": f"bytes=0-{len(session.received) - 1}"} if session.received else {}
            response = WireResponse(308, arrived, b"")
        return self._recorded(session.method_id, owner, bearer, response)

    def _recorded(
        self, method: str, owner: Owner, bearer: str | None, response: WireResponse, query: str = ""
    ) -> WireResponse:
        email = owner[0] if owner else None
        self._record(Call(method, email, fingerprint(bearer), response.status, self._now(), query))
        return response

    def _call(
        self,
        route: Route,
        path_parameters: Mapping[str, str],
        query: str,
        request: WireRequest,
        owner: Owner,
    ) -> WireResponse:
        if owner is None:
            raise ApiError(
                401, "Request had invalid authentication credentials. Expected OAuth 2 access token.", "authError"
            )
        email, scopes = owner
        if not scopes & route.scopes:
            raise ApiError(403, "Request had insufficient authentication scopes.", "insufficientPermissions")
        in_pieces = False
        try:
            parameters = read_parameters(route, path_parameters, parse_qsl(query, keep_blank_values=True))
            media, content = None, request.body
            in_pieces = route.upload and parameters.get("uploadType") == "resumable"
            if route.upload and not in_pieces:
                media, content = read_upload(
                    parameters.get("uploadType"), request.headers.get("content-type", ""), content
                )
                check_media(route.method["mediaUpload"], media.mime_type, len(media.content), at_once=True)
        except (ParameterError, MediaError) as error:
            raise ApiError(400, str(error)) from None
        if not route.upload and len(content) > _MOST_JSON:
            raise ApiError(400, f"Request payload size exceeds the limit: {_MOST_JSON} bytes.")
        body = _read_body(route, content, uploaded=media is not None or in_pieces)
        handler = self._handlers.get(route.method_id)
        if handler is None:
            raise ApiError(501, f"The sandbox has no {route.method_id} yet.", "notImplemented")
        if_match = request.headers.get("if-match")
        call = ApiRequest(self._people[email], scopes & route.scopes, parameters, body, media, if_match)
        return self._open_upload(route, call, handler, request) if in_pieces else _answered(route, call, handler)

    def _open_upload(self, route: Route, call: ApiRequest, handler: Handler, request: WireRequest) -> WireResponse:
        """Open an upload in pieces, and say where they go."""
        kind = request.headers.get("x-upload-content-type", "application/octet-stream")
        announced = request.headers.get("x-upload-content-length", "")
        total = int(announced) if announced.isascii() and announced.isdecimal() else None
        try:
            check_media(route.method["mediaUpload"], kind, total, at_once=False)
        except MediaError as error:
            raise ApiError(400, str(error)) from None

        def finish(media: Media) -> WireResponse:
            return _answered(route, replace(call, media=media), handler)

        session = UploadSession(call.person.email, route.method_id, kind, total, finish)
        upload_id = self._uploads.open(session)
        path = request.target.partition("?")[0]
        address = f"http://{request.headers.get('host', '')}{path}?uploadType=resumable&upload_id={upload_id}"
        return WireResponse(200, {"Location": address}, b"")


def _answered(route: Route, call: ApiRequest, handler: Handler) -> WireResponse:
    selection = _read_fields(route, call.parameters.get("fields"))
    answer = handler(call)
    if isinstance(answer, bytes):
        return WireResponse(200, {"Content-Type": "application/octet-stream"}, answer)
    return _write_body(route, answer, selection)


def _read_fields(route: Route, fields: str | None) -> Selection:
    """Return the parts of the answer that a call asks for; all of it for nothing. A wrong mask changes nothing."""
    schema = route.schema_of("response")
    try:
        selection = parse_fields(fields) if fields else {}
        if schema and (unknown := route.api.schemas.unknown(schema, selection)) is not None:
            raise FieldsError(f"Invalid field selection {unknown}")
    except FieldsError as wrong:
        raise ApiError(400, str(wrong), "invalidParameter") from None
    return selection


def _read_body(route: Route, content: bytes, *, uploaded: bool) -> Mapping[str, Any]:
    schema = route.schema_of("request")
    if not content:
        body = {}
    else:
        try:
            body = json.loads(content)
        except ValueError:
            raise ApiError(400, "Invalid JSON payload received. Parse error.", "parseError") from None
    if schema is None:
        if body:
            raise ApiError(400, f"{route.method_id} takes no request body.")
        return {}
    # Null says that a patch takes a field out: https://developers.google.com/workspace/calendar/api/guides/performance
    if error := route.api.schemas.error(schema, without_nulls(body)):
        raise ApiError(400, f"Invalid JSON payload received. {error}")
    if not uploaded and (missing := route.api.schemas.missing(schema, body, route.method_id)):
        raise ApiError(400, f"Missing in the request body: {', '.join(missing)}", "required")
    return body


def _write_body(route: Route, answer: Mapping[str, Any] | None, selection: Selection) -> WireResponse:
    schema = route.schema_of("response")
    if schema is None and answer is None:
        return WireResponse(204, {}, b"")
    error = "has no response" if schema is None else route.api.schemas.error(schema, answer)
    if error:
        logger.error("the sandbox's own answer to %s does not fit the discovery document: %s", route.method_id, error)
        raise ApiError(500, f"The sandbox's own answer does not fit the discovery document: {error}", "backendError")
    return _json_response(200, select(selection, answer))


def error_response(error: ApiError, route: Route | None = None) -> WireResponse:
    """Return the answer that says why a call is refused; `route` is the called method's."""
    headers = {}
    if error.code == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    elif error.reason == "insufficientPermissions" and route:
        scopes = " ".join(sorted(route.scopes))
        headers["WWW-Authenticate"] = (
            f'Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="{scopes}"'
        )
    return _json_response(error.code, error.json(), headers)


def _json_response(status: int, value: object, headers: Mapping[str, str] | None = None) -> WireResponse:
    body = json.dumps(value, ensure_ascii=False).encode()
    return WireResponse(status, {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}, body)
