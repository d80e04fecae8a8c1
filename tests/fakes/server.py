"""A real server under test, and a test's actions on it."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

import httpx2
from dependency_injector import providers

from app.consent.outcome import Connected
from app.delivery.store.inbox import Inbox
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.telegram.sandbox import TelegramSandbox
from app.sandbox.visitor import code_on, visit
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox
from app.settings import Settings
from app.toolkits.gmail import GmailToolkit
from containers.application import Application
from containers.testing import AppClient
from containers.testing.app import PATIENCE_SECONDS as PATIENCE_SECONDS  # for every wait on a server
from interfaces.slack.copies import EVENT_TYPE

ADA, GRACE = "ada@sandbox.example", "grace@sandbox.example"
TEAM = "T0SANDBOX"
PORTFOLIO, PHONE_NUMBER = "506914307656634", "106540352242922"
VERIFY_TOKEN, TEMPLATE = "meatyhamhock", "answer_waits"
QUESTION = "show my unread mail"
CONSENT_LINK = re.compile(r"https?://\S+/connect/google/[\w-]+")
NOTICE = "Almost done: send `confirm` and the code from the page"  # sent by a scan, unless the code comes first
APPROVAL_CODE = re.compile(r"approve ([0-9a-f]{4,8})")
# Uvicorn closes a connection that was idle for 5 s, by its own clock, which could happen just as a request is sent.
NO_REUSE = httpx2.Limits(max_keepalive_connections=0)

GMAIL_SCOPES = frozenset(scope for spec in GmailToolkit.tools().values() for scope in spec.oauth_scopes)

T = TypeVar("T")


async def eventually(look: Callable[[], T], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Return the result of `look` once it is true.

    Raises:
        AssertionError: It was not true in time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_seconds
    while not (seen := look()):
        assert loop.time() < end, "it did not happen in time"
        await asyncio.sleep(0.005)
    return seen


class Ahead:
    """A clock ahead of the real one, so that an inbox does now what it would do later.

    Attributes:
        seconds: How far ahead it is.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return time.time() + self.seconds

    def install(self, container: Application) -> None:
        """Make the inbox use this clock."""
        container.inbox.override(providers.Object(Inbox(container.database(), self, container.message_lease())))


def hasty(container: Application) -> None:
    """Let the worker hand back its work almost at once when the server stops."""
    container.worker.add_kwargs(grace_seconds=0.05)


class Server(AppClient):
    """A server that runs in an environment, and a test's actions on it.

    Attributes:
        base_url: The server's address.
        settings: The settings that it was built from.
        google: The environment's Google.
        slack: The environment's Slack.
        telegram: The environment's Telegram.
        whatsapp: The environment's WhatsApp.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        container: Application,
        settings: Settings,
        google: GoogleSandbox,
        slack: SlackSandbox,
        telegram: TelegramSandbox,
        whatsapp: WhatsAppSandbox,
    ) -> None:
        super().__init__(client, container)
        self.base_url = str(client.base_url).rstrip("/")
        self.settings = settings
        self.google = google
        self.slack = slack
        self.telegram = telegram
        self.whatsapp = whatsapp

    async def consent(self, link: str, email: str, *, allow: bool = True) -> httpx2.Response:
        """Open a consent link in a new browser and decide with that account; return the last page."""
        return await visit(link, email, allow=allow)

    async def confirm(self, principal: Principal, page: httpx2.Response) -> None:
        """Confirm as this person with the code on the last page, as if they sent it in their chat."""
        code = code_on(page.raise_for_status())
        assert code is not None, page.text
        assert isinstance(await self.container.confirmation().confirm(principal, code), Connected)

    async def connect(
        self,
        principal: Principal,
        account: str,
        oauth_scopes: Iterable[str] = GMAIL_SCOPES,
        *,
        provider: str = GOOGLE,
    ) -> None:
        """Give this person a grant, by default for all that Gmail's tools need, through a link as they would get it."""
        consent = self.container.consent()
        asked = await consent.ask(principal, frozenset(oauth_scopes), provider=provider)
        link = (await consent.sign_in(principal, asked)).url
        assert link is not None
        field = "email" if provider == GOOGLE else "account"
        await self.confirm(principal, await visit(link, account, field=field))

    async def send_mail(self, principal: Principal, raw: str) -> None:
        """Send a mail as this person through Google's API, bypassing Deputy."""
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
        """Return the posts in a channel, once there are this many."""
        return await eventually(lambda: found if len(found := self.posted(channel)) >= count else [])

    def posted(self, channel: str) -> list[Post]:
        """Return the posts in a channel so far, without the notices that a scan sends at some time."""
        posts = [post for post in self.slack.posts if post.channel == channel and not is_unfinished(post)]
        return [post for post in posts if NOTICE not in post.text]


def is_unfinished(post: Post) -> bool:
    """Return whether a post in Slack is an answer that is still being written: only a reply has its id."""
    return not post.files and (post.metadata or {}).get("event_type") != EVENT_TYPE


def user(name: str) -> str:
    """Return a person's id in Slack."""
    return f"U0{name.upper()}"


def direct(name: str) -> str:
    """Return the id of their direct chat with the assistant in Slack."""
    return f"D0{name.upper()}"


def own_markers(google: GoogleSandbox, emails: Collection[str]) -> dict[str, set[str]]:
    """Return the markers in everybody's mail, by address."""
    return {
        email: {marker.lower() for letter in google.mailbox(email) for marker in MARKER.findall(letter.raw.decode())}
        for email in emails
    }
