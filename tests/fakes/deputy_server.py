"""A real server on loopback, and the world around it: a Google, a Slack, a browser and a folder for its database."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from dependency_injector import providers
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.consent.outcome import Connected
from app.delivery.store.inbox import Inbox
from app.main import serving
from app.principal import Principal
from app.sandbox.attachment import CLIENT_ID, lead_to_sandbox
from app.sandbox.google.delegation import ServiceAccount
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.people import Person
from app.sandbox.server import serve_loopback
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.visitor import code_on, visit
from app.sections.agents import AgentSettings
from app.sections.interfaces import HttpSettings, InterfacesSettings, SlackSettings
from app.sections.section import Section
from app.sections.server import DatabaseSettings, KeyRingSettings, ServerSettings
from app.settings import Settings
from app.toolkits.gmail import GmailToolkit
from containers.application import Application
from containers.build import build
from containers.testing import AppClient, open_test_app
from containers.testing.app import PATIENCE_SECONDS as PATIENCE_SECONDS  # of everybody who waits for a server
from interfaces.web.interface import callback_url
from tests.fakes.databases import Databases, SqliteDatabases
from tests.fakes.ports import free_port

ADA, GRACE = "ada@sandbox.example", "grace@sandbox.example"
TEAM = "T0SANDBOX"
QUESTION = "show my unread mail"
CONSENT_LINK = re.compile(r"https?://\S+/connect/google/[\w-]+")
NOTICE = "A sign-in by your link waits for its code"  # comes with a scan, if the code has not come before it
APPROVAL_CODE = re.compile(r"approve ([0-9a-f]{4,8})")
# Uvicorn closes a connection that was idle for 5 s, by its own clock: a request must not go out on it just then.
NO_REUSE = httpx2.Limits(max_keepalive_connections=0)

T = TypeVar("T")
Prepare = Callable[[Application], object]


async def eventually(look: Callable[[], T], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` returns once that is true.

    Raises:
        AssertionError: It was not within that time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_seconds
    while not (seen := look()):
        assert loop.time() < end, "it did not happen in time"
        await asyncio.sleep(0.005)
    return seen


class Ahead:
    """The inbox's clock, so many seconds ahead: what it would do after a while it does now.

    Attributes:
        seconds: How many.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return time.time() + self.seconds

    def install(self, container: Application) -> None:
        """Let the inbox go by this clock."""
        container.inbox.override(providers.Object(Inbox(container.database(), self, container.message_lease())))


def hasty(container: Application) -> None:
    """Let the worker hand back at once what is in work as the server stops."""
    container.worker.add_kwargs(grace_seconds=0.05)


class DeputyServer(AppClient):
    """A server that runs in a world, and what a test does to it.

    Attributes:
        base_url: Where it is.
        settings: What it was built from.
        google: The world's Google.
        slack: The world's Slack.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        container: Application,
        settings: Settings,
        google: GoogleSandbox,
        slack: SlackSandbox,
    ) -> None:
        super().__init__(client, container)
        self.base_url = str(client.base_url).rstrip("/")
        self.settings = settings
        self.google = google
        self.slack = slack

    async def consent(self, link: str, email: str, *, allow: bool = True) -> httpx2.Response:
        """Open a consent link in a browser of its own and decide with that account; the last page."""
        return await visit(link, email, allow=allow)

    async def confirm(self, principal: Principal, page: httpx2.Response) -> None:
        """Let this person confirm with the code that the last page shows, as if they wrote it in their chat."""
        code = code_on(page.raise_for_status())
        assert code is not None, page.text
        assert isinstance(await self.container.confirmation().confirm(principal, code), Connected)

    async def connect(self, principal: Principal, email: str) -> None:
        """Give this person a grant for all that Gmail's tools need, by a link as they would be sent."""
        oauth_scopes = frozenset(scope for spec in GmailToolkit.tools().values() for scope in spec.oauth_scopes)
        consent = self.container.consent()
        link = (await consent.sign_in(principal, await consent.ask(principal, oauth_scopes))).url
        assert link is not None
        await self.confirm(principal, await self.consent(link, email))

    async def send_mail(self, principal: Principal, raw: str) -> None:
        """Send a mail as this person, by Google's API and past Deputy."""
        grant = await self.container.grants().find(principal)
        assert grant is not None
        async with httpx2.AsyncClient(base_url=str(self.settings.google.api_root)) as client:
            sent = await client.post(
                "/gmail/v1/users/me/messages/send",
                json={"raw": base64.urlsafe_b64encode(raw.encode()).decode()},
                headers={"Authorization": f"Bearer {grant.access_token}"},
            )
        sent.raise_for_status()

    async def deliver(self, event: dict[str, Any], retry_num: int | None = None) -> httpx2.Response:
        """Send an event as Slack does."""
        return await self.slack.post_event(self.client, "/slack/events", event, retry_num)

    async def posts(self, channel: str, count: int) -> list[Post]:
        """What was posted in a channel, once there are so many."""
        return await eventually(lambda: found if len(found := self.posted(channel)) >= count else [])

    def posted(self, channel: str) -> list[Post]:
        """What was posted in a channel so far, without what the scan tells at a time of its own."""
        return [post for post in self.slack.posts if post.channel == channel and NOTICE not in post.text]


class SlackDoor:
    """Stands before Slack's Web API: writes down what is asked, and refuses as long as it is told to.

    Attributes:
        asked: The arguments of every call, oldest first.
        faults: By channel, errors that the next calls are answered with, such as ``ratelimited``; "" lets one pass.
        broken: By channel, errors of Slack's own that hide from the caller that the next calls were done.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.asked: list[dict[str, Any]] = []
        self.faults: defaultdict[str, deque[str]] = defaultdict(deque)
        self.broken: defaultdict[str, deque[str]] = defaultdict(deque)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        is_json = "application/json" in request.headers.get("content-type", "")
        asked = json.loads(body) if is_json and body else dict(request.query_params)
        if "channel" not in asked:
            await self._again(scope, body, send)  # about a person, such as users.info
            return
        self.asked.append(asked)
        faults = self.faults[self.asked[-1]["channel"]]
        if fault := faults.popleft() if faults else "":
            # https://docs.slack.dev/apis/web-api/rate-limits
            refusal = JSONResponse({"ok": False, "error": fault}, 429, headers={"Retry-After": "1"})
            await refusal(scope, receive, send)
            return
        if broken := self.broken[self.asked[-1]["channel"]]:
            await self._again(scope, body, _nowhere)
            await JSONResponse({"ok": False, "error": broken.popleft()}, 500)(scope, receive, send)
            return
        await self._again(scope, body, send)

    async def _again(self, scope: Scope, body: bytes, send: Send) -> None:
        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


async def _nowhere(message: Message) -> None:
    """Nobody hears it."""


@dataclass
class World:
    """What a server stands in; servers come and go in it, one at a time on its port.

    Attributes:
        slack_door: What stands before Slack's Web API.
    """

    google: GoogleSandbox
    slack: SlackSandbox
    slack_door: SlackDoor
    settings: Settings
    databases: Databases

    @asynccontextmanager
    async def server(
        self, prepare: Prepare = lambda _: None, *, database: str = "deputy", **sections: Section
    ) -> AsyncIterator[DeputyServer]:
        """Serve on loopback.

        Args:
            prepare: Called with the container before anything is built, to override providers.
            database: The database's name; a second server on the same one finds what the first one left.
            sections: Sections of the settings that are other than the world's.
        """
        settings = await self._settings(database, sections)
        container = build(settings)
        prepare(container)
        async with (
            serving(container, settings) as base_url,
            httpx2.AsyncClient(base_url=base_url, timeout=2 * PATIENCE_SECONDS, limits=NO_REUSE) as client,
        ):
            yield DeputyServer(client, container, settings, self.google, self.slack)

    @asynccontextmanager
    async def in_process(
        self, prepare: Prepare = lambda _: None, *, database: str = "in-process", **sections: Section
    ) -> AsyncIterator[DeputyServer]:
        """The same without a socket, as many at a time as one likes; browsers cannot reach it.

        An error that leaves the application is raised in the test.
        """
        settings = await self._settings(database, sections)
        async with open_test_app(settings, prepare) as app:
            yield DeputyServer(app.client, app.container, settings, self.google, self.slack)

    async def _settings(self, database: str, sections: dict[str, Section]) -> Settings:
        url = DatabaseSettings(url=SecretStr(await self.databases.empty(database)))
        return self.settings.model_copy(update={"database": url, **sections})


@asynccontextmanager
async def world(
    folder: Path,
    databases: Databases | None = None,
    *,
    public_url: str | None = None,
    people: Sequence[Person] | None = None,
    service_accounts: Sequence[ServiceAccount] = (),
    **sections: Section,
) -> AsyncIterator[World]:
    """A Google and a Slack on loopback, and settings that lead to them; HTTP and Slack are served.

    Args:
        folder: Where keys are kept.
        databases: Where servers get their databases; SQLite files in the folder when it is None.
        public_url: Where browsers reach a server; where it listens when it is None.
        people: Who has a Google account; Ada and Grace when nobody is named.
        service_accounts: Who may act as them without asking.
        sections: Sections of the settings, such as ``delivery=DeliverySettings(…)``.
    """
    port = free_port()
    public_url = public_url or f"http://127.0.0.1:{port}"
    client_secret, signing_secret = secrets.token_hex(16), secrets.token_hex(16)
    bot_token = f"xoxb-{secrets.token_hex(16)}"
    slack = SlackSandbox(signing_secret=signing_secret, bot_token=bot_token, team=TEAM)
    slack_door = SlackDoor(slack.app)
    google = GoogleSandbox(
        client_id=CLIENT_ID,
        client_secret=client_secret,
        redirect_uris=frozenset({callback_url(public_url)}),
        people=people,
        service_accounts=service_accounts,
    )
    async with (
        serve_loopback(google.app) as google_url,
        serve_loopback(slack_door) as slack_url,
    ):
        slack_settings = SlackSettings(
            signing_secret=SecretStr(signing_secret),
            bot_token=SecretStr(bot_token),
            api_base_url=f"{slack_url}/api/",
        )
        settings = Settings(
            server=ServerSettings(port=port, public_url=public_url),
            key_ring=KeyRingSettings(file=folder / "keys.yaml"),
            agents={"assistant": AgentSettings(toolkits=("gmail",))},
            default_agent="assistant",
            interfaces=InterfacesSettings(http=HttpSettings(wait_seconds=PATIENCE_SECONDS), slack=slack_settings),
        ).model_copy(update=sections)
        settings = lead_to_sandbox(settings, google_url, client_secret)
        yield World(google, slack, slack_door, settings, databases or SqliteDatabases(folder))


def with_http(settings: Settings, **changes: Any) -> InterfacesSettings:
    """The interfaces, HTTP's settings changed."""
    return settings.interfaces.model_copy(update={"http": HttpSettings(**changes)})


def user(name: str) -> str:
    """A person's id in Slack."""
    return f"U0{name.upper()}"


def direct(name: str) -> str:
    """The id of their direct chat with the assistant in Slack."""
    return f"D0{name.upper()}"


def own_markers(google: GoogleSandbox, emails: Collection[str]) -> dict[str, set[str]]:
    """The markers in everybody's mail, by address."""
    return {
        email: {marker.lower() for letter in google.mailbox(email) for marker in MARKER.findall(letter.raw.decode())}
        for email in emails
    }
