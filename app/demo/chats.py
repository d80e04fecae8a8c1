"""One person on one channel of the demonstration, who meets Deputy like that channel's users."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import httpx2

from app.api_tokens import ApiTokens
from app.demo.platforms import Platforms
from app.principal import Principal
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.people import Person
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.telegram.sandbox import TelegramSandbox
from app.sandbox.whatsapp.people import WhatsAppPerson
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox

_LOOK_SECONDS = 0.02


class Chat(Protocol):
    """The actions of one person on one channel. Lives for one demonstration.

    Attributes:
        principal: Their principal on this channel.
        place: Where they ask: the channel's name, and "group" or "direct".
    """

    principal: Principal
    place: str

    async def write(self, text: str, *, directly: bool = False) -> None:
        """Write to Deputy: where this person asks, or in the direct chat."""
        ...

    async def told(self, what: re.Pattern[str]) -> str:
        """Wait for words of Deputy's that this person alone sees and that read like this, and return them."""
        ...


class HttpChat:
    """A person who posts to the HTTP interface."""

    place = "http"

    def __init__(self, client: httpx2.AsyncClient, principal: Principal, token: str) -> None:
        self.principal = principal
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}
        self._bodies: dict[str, dict[str, Any]] = {}

    async def write(self, text: str, *, directly: bool = False) -> None:
        """Post a message, and keep its answer."""
        del directly  # over HTTP everything is direct
        posted = await self._client.post(
            "/v1/messages", json={"conversation": "demo", "text": text}, headers=self._headers
        )
        body = posted.raise_for_status().json()
        self._bodies[body["message"]] = body

    async def told(self, what: re.Pattern[str]) -> str:
        """Ask how the messages stand until one of them reads like this."""
        while True:
            for body in self._bodies.values():
                text = "\n".join(str(body[part]) for part in ("consent_url", "answer") if body.get(part))
                if what.search(text):
                    return text
            for message in [*self._bodies]:
                read = await self._client.get(f"/v1/messages/{message}", params={"wait": 1}, headers=self._headers)
                self._bodies[message] = read.raise_for_status().json()


class SlackChat:
    """A person in Slack, who writes in a direct message or mentions the bot in a channel."""

    def __init__(self, client: httpx2.AsyncClient, slack: SlackSandbox, user: str, channel: str | None = None) -> None:
        self.principal = Principal("slack", slack.team, user)
        self.place = "slack, channel" if channel else "slack"
        self._client = client
        self._slack = slack
        self._channel = channel
        self._direct = f"D{user[1:]}"

    async def write(self, text: str, *, directly: bool = False) -> None:
        """Send a signed event."""
        mentions = self._channel is not None and not directly
        event = self._slack.event(
            user=self.principal.user,
            text=f"<@U0BOT> {text}" if mentions else text,
            channel=self._channel if mentions and self._channel else self._direct,
            kind="app_mention" if mentions else "message.im",
        )
        (await self._slack.post_event(self._client, "/slack/events", event)).raise_for_status()

    async def told(self, what: re.Pattern[str]) -> str:
        """Read the direct chat: a link, and what comes out of an account, is for its person alone."""
        return await _found(what, lambda: (post.text for post in self._slack.posts if post.channel == self._direct))


class TelegramChat:
    """A person in Telegram, who writes in the private chat or mentions the bot in a group."""

    def __init__(
        self, client: httpx2.AsyncClient, telegram: TelegramSandbox, user: int, group: int | None = None
    ) -> None:
        bot = telegram.people.bot
        self.principal = Principal("telegram", str(bot["id"]), str(user))
        self.place = "telegram, group" if group else "telegram"
        self._client = client
        self._telegram = telegram
        self._user = user
        self._group = group
        self._mention = f"@{bot['username']}"
        telegram.chats.started.add(user)  # a bot cannot write first

    async def write(self, text: str, *, directly: bool = False) -> None:
        """Send an update."""
        people = self._telegram.people
        if self._group is None or directly:
            update = people.write(self._user, text)
        else:
            update = people.write(self._user, f"{self._mention} {text}", chat=self._group)
        (await people.post(self._client, update)).raise_for_status()

    async def told(self, what: re.Pattern[str]) -> str:
        """Read the private chat: a link, and what comes out of an account, is for its person alone."""
        return await _found(what, lambda: (sent.text for sent in self._telegram.chats.in_chat(self._user)))


class WhatsAppChat:
    """A person who writes to the business number, or mentions it in a group."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        whatsapp: WhatsAppSandbox,
        portfolio: str,
        person: WhatsAppPerson,
        group: str | None = None,
    ) -> None:
        assert person.bsuid is not None
        self.place = "whatsapp, group" if group else "whatsapp"
        self._group = group
        self.principal = Principal("whatsapp", portfolio, person.bsuid)
        self._client = client
        self._whatsapp = whatsapp
        self._person = person

    async def write(self, text: str, *, directly: bool = False) -> None:
        """Send a signed webhook."""
        message = self._whatsapp.message(self._person, body=text, group_id=None if directly else self._group)
        webhook = self._whatsapp.batch(([self._person], [message]))
        (await self._whatsapp.post(self._client, "/whatsapp/webhook", webhook)).raise_for_status()

    async def told(self, what: re.Pattern[str]) -> str:
        """Read what the business number sent."""
        return await _found(what, lambda: self._whatsapp.told(self._person.number, self._person.bsuid))


async def chats_of(
    platforms: Platforms, client: httpx2.AsyncClient, google: GoogleSandbox, api_tokens: ApiTokens
) -> list[tuple[Chat, Person]]:
    """Return both people on every channel; the second one asks in a group where there is one."""
    ada, grace = google.people
    chats: list[tuple[Chat, Person]] = []
    for number, person in enumerate((ada, grace), 1):
        name = person.name.split()[0]
        over_http = Principal("http", "demo", name.lower())
        token = await api_tokens.issue(over_http, label="demo")
        in_group = person is grace
        on_whatsapp = WhatsAppPerson(name, f"4915550000{number}", f"US.{name.upper()}")
        chats += [
            (HttpChat(client, over_http, token), person),
            (SlackChat(client, platforms.slack, f"U0{name.upper()}", "C0TEAM" if in_group else None), person),
            (TelegramChat(client, platforms.telegram, 4100 + number, -100_777 if in_group else None), person),
            (WhatsAppChat(client, platforms.whatsapp, platforms.portfolio, on_whatsapp), person),
        ]
    return chats


async def _found(what: re.Pattern[str], texts: Callable[[], Iterable[str]]) -> str:
    """Look until one of the texts reads like this."""
    while True:
        for text in texts():
            if what.search(text):
                return text
        await asyncio.sleep(_LOOK_SECONDS)
