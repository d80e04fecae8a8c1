"""A Gmail on loopback that answers each bearer with its own person's data, and credentials for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from typing import Any, TypeVar

from google.oauth2.credentials import Credentials

from app.errors import GrantRevokedError
from app.google.faults import cause_for_administrators
from app.google.request_recorder import SentRequest
from app.oauth.faults import FaultLog
from app.principal import Principal
from tests.fakes.loopback import Received, Reply

PRIVATE = "text-of-a-mail"  # in every error body, and allowed in no error

T = TypeVar("T")


def google_faults() -> FaultLog:
    """Return a log of Google's faults."""
    return FaultLog(cause_for_administrators, "Google")


class LoopThreads:
    """Threads of the event loop's own pool."""

    async def to_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        return await asyncio.to_thread(function, *args)


@dataclass
class Recorder:
    """Records the calls that were sent; `calls` are methods and statuses."""

    calls: list[tuple[str, int | None]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def sending(self) -> SentRequest:
        return SentRequest("fake")

    async def sent(self, sent: SentRequest) -> None:
        self.calls += sent.calls

    async def refused(self, method_ids: Sequence[str]) -> None:
        self.refusals += method_ids


@dataclass
class FakeCredentials:
    """A person's credentials.

    Attributes:
        token: The access token.
        expires_in: The seconds until it expires, according to itself.
        renewed: The result of a renewal: a token, or an error to raise.
        renewals: One item for each renewal.
        ends: Whether a refused token ends the grant.
        refusals: The tokens that were reported as refused.
    """

    token: str
    expires_in: float = 3600
    renewed: str | Exception = "token-nobody"
    renewals: list[None] = field(default_factory=list)
    ends: bool = False
    refusals: list[str] = field(default_factory=list)

    def for_google(self) -> Credentials:
        return Credentials(self.token, expiry=naive_utc(self.expires_in), refresh_handler=self._renew)

    async def refused(self, access_token: str) -> None:
        self.refusals.append(access_token)
        if self.ends:
            raise GrantRevokedError(Principal("http", "demo", "ada"))

    def _renew(self, request: object, scopes: object) -> tuple[str, datetime]:
        self.renewals.append(None)
        if isinstance(self.renewed, Exception):
            raise self.renewed
        return self.renewed, naive_utc(3600)


def naive_utc(seconds: float) -> datetime:
    """Return the time this many seconds from now, in google-auth's form."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(tzinfo=None)


def gmail(request: Received) -> Reply:
    """Answer `messages.get`, alone or in a batch, with the bearer's person; ``missing`` gives 404, ``garbled`` HTML."""
    if request.path.startswith("/batch"):
        return batch(request, gmail)
    person = request.bearer.removeprefix("token-")
    message_id = request.path.partition("?")[0].rpartition("/")[2]
    if person not in ("ada", "grace"):
        return _error(401, "authError")
    if message_id == "missing":
        return _error(404, "notFound")
    if message_id == "garbled":
        return Reply(f"<html>{PRIVATE}".encode())
    return Reply(json.dumps({"id": message_id, "snippet": person}).encode())


def _error(status: int, reason: str) -> Reply:
    error = {"code": status, "message": PRIVATE, "errors": [{"message": PRIVATE, "reason": reason}]}
    return Reply(json.dumps({"error": error}).encode(), status)


def batch(request: Received, answer: Callable[[Received], Reply]) -> Reply:
    """Answer each part of a batch by a function; a part without its own Authorization has the batch's."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    pieces = []
    for part in BytesParser().parsebytes(head + request.body).walk():
        if part.get_content_type() != "application/http":
            continue
        line, _, rest = str(part.get_payload()).partition("\n")
        own = {name.lower(): value for name, value in BytesParser().parsebytes(rest.encode()).items()}
        reply = answer(Received(line.split()[0], line.split()[1], dict(request.headers) | own, b""))
        fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        content_id = part["Content-ID"].replace("<", "<response-")
        pieces.append(
            f"--b\r\nContent-Type: application/http\r\nContent-ID: {content_id}\r\n\r\n"
            f"HTTP/1.1 {reply.status} Status\r\nContent-Type: application/json\r\n{fields}\r\n{reply.body.decode()}\r\n"
        )
    body = "".join([*reversed(pieces), "--b--\r\n"])
    return Reply(body.encode(), headers={"Content-Type": "multipart/mixed; boundary=b"})
