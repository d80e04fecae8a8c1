"""Doubles for external services: they work, and record what they were asked."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dependency_injector import providers
from googleapiclient.http import HttpRequest

from app.errors import (
    AttachmentGoneError,
    AttachmentTooLargeError,
    ConsentRequiredError,
    GoogleError,
    GrantRevokedError,
)
from app.google.apis import GoogleApis
from app.google.client import GoogleClient
from app.messages import Attachment, StoredMessage
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.reply import ReplyContent
from app.run import current_run
from containers.application import Application
from containers.scopes import Scoped
from interfaces.channel import ServedChannel

_HOUR = 3600.0  # seconds

AnswerOf = Callable[[Principal, HttpRequest], Any]


@dataclass(frozen=True)
class FakeAccess:
    """An access token that names its person."""

    credential_id: str
    access_token: str
    expires_at: float


@dataclass
class FakeTokens:
    """Access that a test grants, instead of people's consents.

    Attributes:
        asked: The people whose access was requested, with the OAuth scopes, oldest first.
        failures: Errors by person; each is raised as long as it is listed.
        connection: The connection whose tokens these are.
    """

    asked: list[tuple[Principal, frozenset[str]]] = field(default_factory=list)
    failures: dict[Principal, Exception] = field(default_factory=dict)
    connection: str = GOOGLE
    _granted: defaultdict[Principal, set[str]] = field(default_factory=lambda: defaultdict(set))

    def grant(self, principal: Principal, *oauth_scopes: str) -> None:
        """Grant these OAuth scopes, which may be none, on this person's behalf, in addition to earlier ones."""
        self._granted[principal].update(oauth_scopes)

    def revoke(self, principal: Principal) -> None:
        """Revoke everything that this person has granted."""
        self._granted.pop(principal, None)

    def install(self, container: Application, connection: str = GOOGLE) -> None:
        """Replace the container's source of tokens for a connection."""
        self.connection = connection
        source = container.tokens if connection == GOOGLE else container.connection_tokens.providers[connection]
        source.override(providers.Object(self))

    async def fresh(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        credential_id: str | None = None,
        rejected: str | None = None,
    ) -> FakeAccess:
        """Return access to the person's only account, with a new token each time.

        Raises:
            ConsentRequiredError: They lack one of the scopes.
        """
        self.asked.append((principal, oauth_scopes))
        await asyncio.sleep(0)
        if failure := self.failures.get(principal):
            raise failure
        missing = oauth_scopes - self._granted.get(principal, set())
        if missing or principal not in self._granted:
            raise ConsentRequiredError(principal, missing, connection=self.connection)
        return FakeAccess(str(principal), f"token-{principal.user}-{len(self.asked)}", time.time() + _HOUR)

    async def refused(self, principal: Principal, credential_id: str, access_token: str) -> None:
        """End this person's access, because an API refused a token that had just been renewed."""
        self.revoke(principal)
        raise GrantRevokedError(principal, connection=self.connection)


class FakeGoogle(GoogleClient):
    """Google's APIs as one person, answered by a function. Lives for one request.

    Requests are made by Google's own templates, so unknown methods and parameters are rejected.
    """

    def __init__(self, principal: Principal, apis: GoogleApis, answer: AnswerOf) -> None:
        self._principal = principal
        self._apis = apis
        self._answer = answer
        self._run = current_run()

    @classmethod
    def install(cls, container: Application, answer: AnswerOf) -> None:
        """Replace the container's Google client.

        Args:
            container: The container.
            answer: Called with the person and the request, which has a `methodId`, a `uri` and a `body`; returns
                Google's parsed answer, or raises `GoogleError`.
        """
        container.google.override(Scoped(cls, container.principal, container.google_apis, providers.Object(answer)))

    async def execute(self, request: HttpRequest, *, repeatable: bool | None = None) -> Any:
        """Return what the function answers."""
        self._run.check(f"The Google client that called {request.methodId}")
        await asyncio.sleep(0)
        return self._answer(self._principal, request)

    async def execute_batch(self, requests: Sequence[HttpRequest], *, repeatable: bool | None = None) -> list[Any]:
        """Return the function's answer to each request, or the `GoogleError` that it raised instead."""
        answers: list[Any] = []
        for request in requests:
            try:
                answers.append(await self.execute(request))
            except GoogleError as error:
                answers.append(error)
        return answers


@dataclass(frozen=True)
class Sent:
    """One reply that a channel was asked to send."""

    principal: Principal
    content: ReplyContent
    private: bool
    message_id: str
    reply_id: str
    again: bool

    @property
    def text(self) -> str:
        """Return its words."""
        return self.content.text


@dataclass
class RecordingChannel:
    """A channel that records what it sends.

    Attributes:
        failures: Errors for the next sends, one each.
        gate: Every send waits until it is set.
        groups: The conversations that others can read.
        files: The contents of attachments, or the error to raise, by reference; any other one is gone.
        signs: The signs of work on messages that it has shown: whose, and what is done, or "idle".
        sign_failures: Errors for the next signs, one each.
    """

    sent: list[Sent] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    groups: set[str] = field(default_factory=set)
    files: dict[str, bytes | Exception] = field(default_factory=dict)
    signs: list[tuple[Principal, str | None]] = field(default_factory=list)
    sign_failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def install(self, container: Application, platform: str) -> None:
        """Replace the channel of a platform."""
        container.channels.add_kwargs({platform: providers.Object(ServedChannel(platform, self))})

    def is_group(self, message: StoredMessage) -> bool:
        """Return whether the test has listed the message's conversation as a group."""
        return message.conversation in self.groups

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Record it."""
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(Sent(message.principal, content, private, message.message_id, reply_id, again))

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Forget every copy of the reply but the first."""
        first = next((sent for sent in self.sent if sent.reply_id == reply_id), None)
        self.sent[:] = [sent for sent in self.sent if sent.reply_id != reply_id or sent is first]

    def follow(self, message: StoredMessage) -> None:
        """Return None: it records complete replies."""

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Record it."""
        self.signs.append((message.principal, doing))
        if self.sign_failures:
            raise self.sign_failures.pop(0)

    async def show_idle(self, message: StoredMessage) -> None:
        """Record it."""
        self.signs.append((message.principal, "idle"))

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Return the contents that the test has put in `files`."""
        contents = self.files.get(attachment.reference, AttachmentGoneError("it is gone"))
        if isinstance(contents, Exception):
            raise contents
        if len(contents) > limit:
            raise AttachmentTooLargeError(limit)
        return contents

    def texts(self, principal: Principal) -> list[str]:
        """Return the texts that this person was sent, in order."""
        return [sent.text for sent in self.sent if sent.principal == principal]
