"""The Gmail toolkits of several people on the sandbox's Google, over loopback HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import urllib3
from starlette.types import Receive, Scope, Send

from app.deadline import Deadline
from app.google.apis import GoogleApis
from app.google.client import GoogleClient
from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.server import serve_loopback
from app.toolkits.gmail import COMPOSE_MAIL, EDIT_LABELS, MODIFY_MAIL, READ_MAIL, SEND_MAIL, GmailToolkit
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, google_faults
from tests.fakes.sandbox import SEND, SandboxClient, encoded, sandbox
from tests.fakes.zones import FixedZone

_APIS = ("/gmail/", "/calendar/", "/drive/")
_MASKED = re.compile(rb"(?:^|&)(?:fields=|alt=media|mimeType=|upload_id=)")  # the others are files, and pieces of them
ALL_SCOPES = (READ_MAIL, EDIT_LABELS, MODIFY_MAIL, COMPOSE_MAIL, SEND_MAIL)


@dataclass
class GmailSandbox:
    """The sandbox on loopback, and the objects that live as long as the process.

    Attributes:
        google: The sandbox.
        apis: The shared templates.
        pool: The shared connections.
        browser: The client with which people sign in.
        requests: The path of each HTTP request since the last toolkit was made; a batch counts once.
        unmasked: The paths of requests for a JSON answer that did not say which fields they need.
    """

    google: GoogleSandbox
    apis: GoogleApis
    pool: urllib3.PoolManager
    browser: SandboxClient
    requests: list[str] = field(default_factory=list)
    unmasked: list[str] = field(default_factory=list)

    async def toolkit(
        self, email: str, *oauth_scopes: str, client: type[GoogleClient] = GoogleClient, zone: str = "UTC"
    ) -> GmailToolkit:
        """Return the toolkit of a person who granted these scopes only, or all that Gmail's tools need."""
        tokens = await self.browser.sign_in(email, *oauth_scopes or ALL_SCOPES)
        credentials = FakeCredentials(tokens["access_token"])
        self.requests.clear()
        return GmailToolkit(
            client(credentials, self.apis, self.pool, LoopThreads(), Deadline.after(20), Recorder(), google_faults()),
            FixedZone(zone),
        )

    def mail(self, email: str, *labels: str) -> list[MailboxMessage]:
        """Return a person's mails with these labels, newest first, without the trash."""
        return [
            each for each in self.google.mailbox(email) if {*labels} <= each.label_ids and "TRASH" not in each.label_ids
        ]

    def labels_of(self, email: str, message_id: str) -> frozenset[str]:
        """Return the current label ids of a person's mail."""
        return next(each.label_ids for each in self.google.mailbox(email) if each.id == message_id)

    async def deliver(self, sender: str, recipient: str, mail: str | bytes) -> MailboxMessage:
        """Send a complete mail, with its headers, unchanged, and return the recipient's copy."""
        bearer = (await self.browser.sign_in(sender, SEND))["access_token"]
        path = "/gmail/v1/users/me/messages/send"
        before = {each.id for each in self.google.mailbox(recipient)}
        response = await self.browser.call(bearer, "POST", path, json={"raw": encoded(mail)})
        assert response.status_code == 200, response.text
        self.requests.clear()
        return next(each for each in self.google.mailbox(recipient) if each.id not in before)


@asynccontextmanager
async def open_gmail_sandbox(**changes: Any) -> AsyncIterator[GmailSandbox]:
    """Yield a sandbox for one test; `changes` are those of `sandbox`."""
    google = sandbox(**changes)
    requests: list[str] = []
    unmasked: list[str] = []

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        requests.append(scope["path"])
        if (
            scope["path"].startswith(_APIS)
            and not _MASKED.search(scope["query_string"])
            and scope["method"] != "DELETE"
        ):
            unmasked.append(scope["path"])
        await google.app(scope, receive, send)

    async with serve_loopback(counted) as url, httpx2.AsyncClient(base_url=url) as http:
        with urllib3.PoolManager(maxsize=16) as pool:
            yield GmailSandbox(google, GoogleApis(url), pool, SandboxClient(http), requests, unmasked)
