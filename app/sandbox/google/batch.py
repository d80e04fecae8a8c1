"""Many calls in one request: ``POST /batch`` and ``/batch/<api>/<version>``.

https://developers.google.com/workspace/gmail/api/guides/batch
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus

from app.sandbox.google.api import ApiError, WireRequest, WireResponse
from app.sandbox.google.media import content_of, read_multipart

MAX_CALLS = 100


def answer_batch(
    headers: Mapping[str, str], body: bytes, answer: Callable[[WireRequest], WireResponse]
) -> WireResponse:
    """Answer the calls of a batch, in order, each with its own status.

    A header of the batch applies to each call that does not have it, except ``Content-…`` headers; so each call can
    have its own bearer token.

    Raises:
        ApiError: There are more than 100 calls, or a call is not an HTTP request.
        MediaError: The body is not multipart.
    """
    parts = read_multipart(headers.get("content-type", ""), body)
    if len(parts) > MAX_CALLS:
        raise ApiError(400, f"The batch request holds {len(parts)} calls; the limit is {MAX_CALLS}.")
    calls = [_call(part, headers) for part in parts]
    boundary = f"batch_{secrets.token_hex(16)}"
    pieces = [_piece(boundary, part["Content-ID"], answer(call)) for part, call in zip(parts, calls, strict=True)]
    content = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return WireResponse(200, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, content)


def _call(part: Message, outer: Mapping[str, str]) -> WireRequest:
    """Return the call in a part of type application/http (RFC 9112 §10.1)."""
    request_line, _, rest = content_of(part).lstrip().partition(b"\n")
    words = request_line.decode("latin-1").split()
    if part.get_content_type() != "application/http" or len(words) != 3 or not words[1].startswith("/"):
        raise ApiError(400, "A part of the batch is not an HTTP request.", "badRequest")
    inner = BytesParser().parsebytes(rest)
    headers = {name: value for name, value in outer.items() if not name.startswith("content-")}
    headers |= {name.lower(): str(value) for name, value in inner.items()}
    return WireRequest(words[0], words[1], headers, content_of(inner))


def _piece(boundary: str, content_id: str | None, response: WireResponse) -> bytes:
    head = [f"--{boundary}", "Content-Type: application/http"]
    if content_id:
        head.append(f"Content-ID: <response-{content_id.strip().removeprefix('<')}")
    status = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
    inner = [status, *(f"{name}: {value}" for name, value in response.headers.items())]
    inner.append(f"Content-Length: {len(response.body)}")
    lines = "\r\n".join([*head, "", *inner, "", ""])
    return lines.encode() + response.body + b"\r\n"
