"""People's actions on each channel behind one interface, so that one suite can test every channel."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import zlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import sqlalchemy as sa

from app.database.tables import messages
from app.messages import MessageState
from app.principal import Principal
from app.sandbox.whatsapp.people import WhatsAppPerson
from interfaces.slack.client import ANSWERED_DIRECTLY
from interfaces.telegram.client import ANSWERED_DIRECTLY as IN_PRIVATE
from interfaces.whatsapp import client as directly
from tests.fakes.server import (
    ADA,
    GRACE,
    NOTICE,
    PATIENCE_SECONDS,
    PORTFOLIO,
    TEAM,
    TEMPLATE,
    Server,
    direct,
    eventually,
    is_unfinished,
    user,
)

_count = itertools.count(1)
_ASKS_TO_WRITE = f"[template {TEMPLATE}]"
_AT_WORK = directly.AT_WORK.partition("{")[0]  # shown on a slow machine, after 15 seconds


@dataclass(frozen=True)
class Sender:
    """A person on one channel who is new to Deputy, and their Google account."""

    name: str
    email: str


def pair() -> tuple[Sender, Sender]:
    """Return two people whom Deputy has not met, with the Google accounts of Ada and Grace."""
    number = next(_count)
    return Sender(f"ada{number}", ADA), Sender(f"grace{number}", GRACE)


class ChannelDriver(Protocol):
    """A channel, seen from its people's side.

    Attributes:
        platform: The channel's name.
        shows_groups: Whether the other people in a group can read the assistant's answers there.
    """

    platform: str
    shows_groups: bool

    def principal(self, sender: Sender) -> Principal:
        """Return the principal that Deputy takes the sender for."""
        ...

    async def say(
        self,
        sender: Sender,
        text: str,
        *,
        event_id: str | None = None,
        group: str | None = None,
        retry: bool = False,
        met: bool = True,
    ) -> httpx2.Response:
        """Send a message, to the assistant alone or in a group's thread; return the platform's acknowledgement.

        Args:
            sender: The person who writes.
            text: The words of the message.
            event_id: The platform's id of this delivery; a repeated id is a duplicate.
            group: The group's name; None for the direct chat.
            retry: Whether the platform says that it has sent this before.
            met: Whether they have written to the assistant alone before, which some platforms require.
        """
        ...

    async def next(self, sender: Sender) -> str:
        """Wait for the next message that this person is sent, and return it. A long answer is cut into several."""
        ...

    async def quiet(self, sender: Sender) -> bool:
        """Return whether this person has been sent nothing more."""
        ...

    def public(self, group: str) -> list[str]:
        """Return the texts that everybody in a group was shown, except the lines of `directed`."""
        ...

    def directed(self, group: str) -> list[str]:
        """Return the lines by which everybody in a group learned that somebody was answered directly."""
        ...


class HttpDriver:
    """HTTP: each change in the status of a person's messages counts as a message to them."""

    platform, shows_groups = "http", False

    def __init__(self, server: Server) -> None:
        self._server = server
        self._seen: defaultdict[Sender, dict[str, str | None]] = defaultdict(dict)  # texts last seen, by message
        self._ended: set[str] = set()  # messages whose final text was seen

    def principal(self, sender: Sender) -> Principal:
        return Principal("http", "demo", sender.name)

    async def say(
        self,
        sender: Sender,
        text: str,
        *,
        event_id: str | None = None,
        group: str | None = None,
        retry: bool = False,
        met: bool = True,
    ) -> httpx2.Response:
        conversation = group or "main"
        response = await self._server.ask(self.principal(sender), text, id=event_id, conversation=conversation)
        if response.is_success and (message_id := response.json()["message"]) not in self._ended:
            self._seen[sender].setdefault(message_id, None)
        return response

    async def next(self, sender: Sender) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (told := await self._look(sender)) is None:
                await asyncio.sleep(0.01)
        return told

    async def quiet(self, sender: Sender) -> bool:
        return await self._look(sender) is None

    def public(self, group: str) -> list[str]:
        return []

    def directed(self, group: str) -> list[str]:
        return []

    async def _look(self, sender: Sender) -> str | None:
        """Return the oldest text not seen yet.

        The statuses are read twice, because an older text may have appeared while the first read was in progress.
        """
        unseen = await self._unseen(sender) and await self._unseen(sender)
        if not unseen:
            return None
        query = sa.select(messages.c.id).where(messages.c.id.in_(unseen)).order_by(messages.c.changed_at).limit(1)
        async with self._server.container.database().reading() as connection:
            first = str((await connection.execute(query)).scalar_one())
        told, has_ended = unseen[first]
        if has_ended:
            del self._seen[sender][first]
            self._ended.add(first)
        else:
            self._seen[sender][first] = told
        return told

    async def _unseen(self, sender: Sender) -> dict[str, tuple[str, bool]]:
        """Return the texts not seen yet, by message, each with whether it is the message's last one."""
        unseen = {}
        for message_id, seen in self._seen[sender].items():
            status = await self._server.told(self.principal(sender), message_id, wait=0)
            told = status.get("answer") or status.get("consent_url") or _question(status.get("approval"))
            if told is not None and told != seen:
                unseen[message_id] = (told, status["state"] in (MessageState.DONE, MessageState.FAILED))
        return unseen


class SlackDriver:
    """Slack: direct messages, and mentions in a thread of a channel."""

    platform, shows_groups = "slack", True

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read: defaultdict[Sender, int] = defaultdict(int)
        self._stamps: defaultdict[str, str] = defaultdict(server.slack.new_ts)  # a repeated delivery has the same stamp

    def principal(self, sender: Sender) -> Principal:
        return Principal("slack", TEAM, user(sender.name))

    async def say(
        self,
        sender: Sender,
        text: str,
        *,
        event_id: str | None = None,
        group: str | None = None,
        retry: bool = False,
        met: bool = True,
    ) -> httpx2.Response:
        event = self._server.slack.event(
            user=user(sender.name),
            text=f"<@U0BOT> {text}" if group else text,
            channel=f"C0{group.upper()}" if group else direct(sender.name),
            thread_ts="1700000000.000001" if group else None,
            ts=self._stamps[event_id or secrets.token_hex(6)],
            kind="app_mention" if group else "message.im",
        )
        return await self._server.deliver(event, 1 if retry else None)

    async def next(self, sender: Sender) -> str:
        read = self._read[sender]
        posts = await eventually(lambda: self._shown_to(sender)[read:])
        self._read[sender] += 1
        return posts[0]

    async def quiet(self, sender: Sender) -> bool:
        return len(self._shown_to(sender)) == self._read[sender]

    def public(self, group: str) -> list[str]:
        return [text for text in self._in_group(group) if ANSWERED_DIRECTLY not in text]

    def directed(self, group: str) -> list[str]:
        return [text for text in self._in_group(group) if ANSWERED_DIRECTLY in text]

    def _in_group(self, group: str) -> list[str]:
        return [post.text for post in self._server.posted(f"C0{group.upper()}")]

    def _shown_to(self, sender: Sender) -> list[str]:
        """Return the posts that this person alone can read, in order, without the ones that Slack shows only once."""
        return [
            post.text
            for post in self._server.slack.readable(user(sender.name))
            if post.channel == direct(sender.name) and NOTICE not in post.text and not is_unfinished(post)
        ]


class WhatsAppDriver:
    """WhatsApp: direct messages, and mentions in a group."""

    platform, shows_groups = "whatsapp", True

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read: defaultdict[Sender, int] = defaultdict(int)
        self._ids: defaultdict[str, str] = defaultdict(lambda: f"wamid.{secrets.token_hex(12)}")

    def principal(self, sender: Sender) -> Principal:
        return Principal("whatsapp", PORTFOLIO, str(whatsapp_person(sender).bsuid))

    async def say(
        self,
        sender: Sender,
        text: str,
        *,
        event_id: str | None = None,
        group: str | None = None,
        retry: bool = False,
        met: bool = True,
    ) -> httpx2.Response:
        person, whatsapp = whatsapp_person(sender), self._server.whatsapp
        if group and met and not self._read[sender]:
            await self._greet(sender)
        message_id = self._ids[event_id or secrets.token_hex(6)]
        message = whatsapp.message(person, body=text, message_id=message_id, group_id=group)
        return await whatsapp.post(self._server.client, "/whatsapp/webhook", whatsapp.batch(([person], [message])))

    async def next(self, sender: Sender) -> str:
        read = self._read[sender]
        told = await eventually(lambda: self._shown_to(sender)[read:])
        self._read[sender] += 1
        return told[0]

    async def quiet(self, sender: Sender) -> bool:
        return len(self._shown_to(sender)) == self._read[sender]

    def public(self, group: str) -> list[str]:
        return [text for text in self._server.whatsapp.told(group) if text != directly.ANSWERED_DIRECTLY]

    def directed(self, group: str) -> list[str]:
        return [text for text in self._server.whatsapp.told(group) if text == directly.ANSWERED_DIRECTLY]

    async def _greet(self, sender: Sender) -> None:
        """Write directly first, because only then can the assistant write to this person alone."""
        await self.say(sender, "repeat hello from a direct chat")
        assert await self.next(sender) == "hello from a direct chat"

    def _shown_to(self, sender: Sender) -> list[str]:
        person = whatsapp_person(sender)
        told = self._server.whatsapp.told(person.number, person.bsuid)
        return [text for text in told if not any(each in text for each in (NOTICE, _ASKS_TO_WRITE, _AT_WORK))]


class TelegramDriver:
    """Telegram: private chats, and mentions in a group."""

    platform, shows_groups = "telegram", True

    def __init__(self, server: Server) -> None:
        self._server = server
        self._telegram = server.telegram
        self._read: defaultdict[Sender, int] = defaultdict(int)
        self._updates: dict[str, dict[str, Any]] = {}  # a repeated delivery has the same update

    def principal(self, sender: Sender) -> Principal:
        return Principal("telegram", str(self._telegram.people.bot["id"]), str(telegram_id(sender.name)))

    async def say(
        self,
        sender: Sender,
        text: str,
        *,
        event_id: str | None = None,
        group: str | None = None,
        retry: bool = False,
        met: bool = True,
    ) -> httpx2.Response:
        if met:
            self._telegram.chats.started.add(telegram_id(sender.name))
        update = self._telegram.people.write(
            telegram_id(sender.name),
            f"@{self._telegram.people.bot['username']} {text}" if group else text,
            chat=-telegram_id(group) if group else None,
        )
        if known := self._updates.get(event_id or ""):  # the same message, under another update's id
            update["message"] = known["message"]
        if event_id:
            self._updates[event_id] = update
        return await self._telegram.people.post(self._server.client, update)

    async def next(self, sender: Sender) -> str:
        read = self._read[sender]
        shown = await eventually(lambda: self._shown_to(sender)[read:])
        self._read[sender] += 1
        return shown[0]

    async def quiet(self, sender: Sender) -> bool:
        return len(self._shown_to(sender)) == self._read[sender]

    def public(self, group: str) -> list[str]:
        return [text for text in self._in(-telegram_id(group)) if IN_PRIVATE not in text]

    def directed(self, group: str) -> list[str]:
        return [text for text in self._in(-telegram_id(group)) if IN_PRIVATE in text]

    def _in(self, chat: int) -> list[str]:
        return [message.text for message in self._telegram.chats.in_chat(chat)]

    def _shown_to(self, sender: Sender) -> list[str]:
        return [text for text in self._in(telegram_id(sender.name)) if "Almost done: send" not in text]


def whatsapp_person(sender: Sender) -> WhatsAppPerson:
    """Return the sender as a person on WhatsApp."""
    return WhatsAppPerson(sender.name, f"4477{zlib.crc32(sender.name.encode()):010}", f"GB.{sender.name}")


def telegram_id(name: str) -> int:
    """Return a person's or a group's id on Telegram."""
    return zlib.crc32(name.encode()) + 1_000


def event_id() -> str:
    """Return a random id like the ones that platforms give to deliveries."""
    return secrets.token_hex(6).upper()


def _question(approval: dict[str, Any] | None) -> str | None:
    return f"Shall I run {approval['tool']}? approve {approval['code']}" if approval else None


DRIVERS = {"http": HttpDriver, "slack": SlackDriver, "telegram": TelegramDriver, "whatsapp": WhatsAppDriver}
