"""The platforms beyond plain messages: refusals, files, and answers that are shown while they are written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import httpx2

from app.sandbox.slack.places import SlackError
from app.sandbox.telegram.refusal import TelegramRefusedError
from app.sandbox.whatsapp.errors import WhatsAppError
from interfaces.telegram.client import CANNOT_WRITE_DIRECTLY as START_FIRST
from interfaces.whatsapp.client import CANNOT_WRITE_DIRECTLY as WRITE_FIRST
from tests.contract.channels import (
    HttpDriver,
    Sender,
    SlackDriver,
    TelegramDriver,
    WhatsAppDriver,
    telegram_id,
    whatsapp_person,
)
from tests.fakes.server import Server, direct, is_unfinished, user

DOTS = "…"  # an answer is coming

Seen = Callable[[], str]  # returns the text of an unfinished answer that a person sees


class Platform(Protocol):
    """A platform that the assistant sends answers to.

    Attributes:
        permanent: The kinds of refusals that no retry can overcome.
        passing: The kinds that end on their own or through something that the person does.
        reaches_strangers: Whether the assistant may write first to a person alone.
    """

    permanent: tuple[str, ...]
    passing: tuple[str, ...]
    reaches_strangers: bool

    def ask_to_wait(self, sender: Sender) -> float:
        """Refuse all messages to this person because there are too many; return the seconds that must pass."""
        ...

    def refuse(self, sender: Sender, kind: str) -> None:
        """Refuse all messages to this person, with this kind of refusal."""
        ...

    def allow(self, sender: Sender) -> None:
        """Accept messages to this person again."""
        ...

    async def send_picture(self, sender: Sender, contents: bytes) -> httpx2.Response:
        """Send the assistant a picture without words."""
        ...

    def told_to_write(self, group: str) -> list[str]:
        """Return the lines in a group that ask somebody to write to the assistant alone first."""
        ...

    def files(self, sender: Sender) -> list[tuple[str, bytes]]:
        """Return the names and contents of the files that this person was sent alone."""
        ...

    def public_files(self, group: str) -> list[str]:
        """Return the names of the files that were sent to a group."""
        ...

    def refuse_files(self, sender: Sender, *, passing: bool) -> None:
        """Refuse files for this person, temporarily or permanently, but accept messages."""
        ...

    def allow_files(self, sender: Sender) -> None:
        """Accept files for this person again."""
        ...


class TelegramPlatform:
    """Telegram: people block the bot and delete their accounts."""

    reaches_strangers = False
    _refusals: Mapping[str, TelegramRefusedError] = {
        "blocked": TelegramRefusedError(403, "Forbidden: bot was blocked by the user"),
        "deleted account": TelegramRefusedError(403, "Forbidden: user is deactivated"),
        "no such chat": TelegramRefusedError(400, "Bad Request: chat not found"),
        "outage": TelegramRefusedError(502, "Bad Gateway"),
    }
    permanent, passing = ("blocked", "deleted account", "no such chat"), ("outage",)

    def __init__(self, server: Server) -> None:
        self._server = server
        self._telegram = server.telegram

    def ask_to_wait(self, sender: Sender) -> float:
        refusal = TelegramRefusedError(429, "Too Many Requests: retry after 600", retry_after=600)
        self._telegram.chats.refusals[telegram_id(sender.name)] = refusal
        return 600.0

    def refuse(self, sender: Sender, kind: str) -> None:
        self._telegram.chats.refusals[telegram_id(sender.name)] = self._refusals[kind]

    def allow(self, sender: Sender) -> None:
        del self._telegram.chats.refusals[telegram_id(sender.name)]

    async def send_picture(self, sender: Sender, contents: bytes) -> httpx2.Response:
        file_id = f"picture of {sender.name}"
        self._telegram.files[file_id] = contents
        sizes = [{"file_id": file_id, "file_unique_id": file_id, "width": 9, "height": 9, "file_size": len(contents)}]
        update = self._telegram.people.write(telegram_id(sender.name), None, photo=sizes)
        return await self._telegram.people.post(self._server.client, update)

    def told_to_write(self, group: str) -> list[str]:
        line = START_FIRST.format(username=self._telegram.people.bot["username"])
        return [each.text for each in self._telegram.chats.in_chat(-telegram_id(group)) if each.text == line]

    def files(self, sender: Sender) -> list[tuple[str, bytes]]:
        return [each.file for each in self._telegram.chats.in_chat(telegram_id(sender.name)) if each.file]

    def public_files(self, group: str) -> list[str]:
        return [each.file[0] for each in self._telegram.chats.in_chat(-telegram_id(group)) if each.file]

    def refuse_files(self, sender: Sender, *, passing: bool) -> None:
        refusal = TelegramRefusedError(413, "Request Entity Too Large")
        if passing:
            refusal = TelegramRefusedError(429, "Too Many Requests: retry after 600", retry_after=600)
        self._telegram.chats.file_refusals[telegram_id(sender.name)] = refusal

    def allow_files(self, sender: Sender) -> None:
        del self._telegram.chats.file_refusals[telegram_id(sender.name)]


class WhatsAppPlatform:
    """WhatsApp: people block the number, and can be answered for a day after they wrote."""

    reaches_strangers = False
    _refusals: Mapping[str, WhatsAppError] = {
        "blocked": WhatsAppError(131026, "the message is undeliverable"),
        "experiment": WhatsAppError(130472, "the person's number is part of an experiment"),
        "outage": WhatsAppError(131016, "the service is unavailable", status=500),
        "window closed": WhatsAppError(131047, "more than 24 hours have passed since the person last wrote"),
    }
    permanent, passing = ("blocked", "experiment"), ("outage", "window closed")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._whatsapp = server.whatsapp

    def ask_to_wait(self, sender: Sender) -> float:
        refusal = WhatsAppError(131048, "too many messages of this number were reported as spam")
        self._whatsapp.refusals[str(whatsapp_person(sender).bsuid)] = refusal
        return 3600.0

    def refuse(self, sender: Sender, kind: str) -> None:
        self._whatsapp.refusals[str(whatsapp_person(sender).bsuid)] = self._refusals[kind]

    def allow(self, sender: Sender) -> None:
        del self._whatsapp.refusals[str(whatsapp_person(sender).bsuid)]

    async def send_picture(self, sender: Sender, contents: bytes) -> httpx2.Response:
        person = whatsapp_person(sender)
        media_id = self._whatsapp.media.put("image/png", contents)
        message = self._whatsapp.message(person, "image", {"id": media_id, "mime_type": "image/png"})
        webhook = self._whatsapp.batch(([person], [message]))
        return await self._whatsapp.post(self._server.client, "/whatsapp/webhook", webhook)

    def told_to_write(self, group: str) -> list[str]:
        return [text for text in self._server.whatsapp.told(group) if text == WRITE_FIRST]

    def files(self, sender: Sender) -> list[tuple[str, bytes]]:
        person = whatsapp_person(sender)
        return [
            (shown["document"]["filename"], self._whatsapp.media.files[shown["document"]["id"]].contents)
            for each in self._whatsapp.shown
            if each.recipient in (person.number, person.bsuid) and "document" in (shown := each.request)
        ]

    def public_files(self, group: str) -> list[str]:
        shown = [each.request for each in self._whatsapp.shown if each.recipient == group]
        return [each["document"]["filename"] for each in shown if "document" in each]

    def refuse_files(self, sender: Sender, *, passing: bool) -> None:
        self._whatsapp.media.refusal = WhatsAppError(131048 if passing else 131053, "the upload is refused")

    def allow_files(self, sender: Sender) -> None:
        self._whatsapp.media.refusal = None


class SlackPlatform:
    """Slack: accounts are deactivated, and apps lose their place or their token."""

    reaches_strangers = True
    permanent = ("account_inactive", "is_inactive", "messages_tab_disabled", "user_not_found")
    passing = ("internal_error", "service_unavailable", "team_added_to_org")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._places = server.slack.places

    def ask_to_wait(self, sender: Sender) -> float:
        self._places.refusals[_posting(sender)] = SlackError("ratelimited", retry_after=600)
        return 600.0

    def refuse(self, sender: Sender, kind: str) -> None:
        self._places.refusals[_posting(sender)] = kind

    def allow(self, sender: Sender) -> None:
        del self._places.refusals[_posting(sender)]

    async def send_picture(self, sender: Sender, contents: bytes) -> httpx2.Response:
        slack = self._server.slack
        event = slack.event(user=user(sender.name), text="", channel=direct(sender.name))
        picture = slack.files.upload("picture.png", "image/png", contents)
        event["event"] |= {"subtype": "file_share", "files": [picture]}
        return await self._server.deliver(event)

    def told_to_write(self, group: str) -> list[str]:
        return []

    def files(self, sender: Sender) -> list[tuple[str, bytes]]:
        return self._shared(direct(sender.name))

    def public_files(self, group: str) -> list[str]:
        return [name for name, _ in self._shared(f"C0{group.upper()}")]

    def refuse_files(self, sender: Sender, *, passing: bool) -> None:
        refusal = SlackError("ratelimited", retry_after=600) if passing else "posting_to_channel_denied"
        self._places.refusals["files.completeUploadExternal", direct(sender.name)] = refusal

    def allow_files(self, sender: Sender) -> None:
        del self._places.refusals["files.completeUploadExternal", direct(sender.name)]

    def _shared(self, channel: str) -> list[tuple[str, bytes]]:
        slack = self._server.slack
        files = [slack.files.by_id[each] for post in slack.posts if post.channel == channel for each in post.files]
        return [(file.name, file.contents) for file in files]


def _posting(sender: Sender) -> tuple[str, str]:
    """Return Slack's method, and the channel, by which the assistant writes to a person directly."""
    return "chat.postMessage", direct(sender.name)


@asynccontextmanager
async def written_on_http(server: Server, sender: Sender, text: str) -> AsyncIterator[Seen]:
    """Ask over HTTP for an answer as events."""
    principal = HttpDriver(server).principal(sender)
    headers = {**await server.bearer(principal), "Accept": "text/event-stream"}
    body = {"conversation": "main", "text": text}
    seen: list[str] = []

    async def read() -> None:
        async with server.client.stream("POST", "/v1/messages", json=body, headers=headers) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line.removeprefix("data: ")).get("delta", ""))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        yield lambda: "".join(seen)


@asynccontextmanager
async def written_on_telegram(server: Server, sender: Sender, text: str) -> AsyncIterator[Seen]:
    """Ask in the private chat, where the answer is a draft at first."""
    await TelegramDriver(server).say(sender, text)
    drafts = server.telegram.chats.drafts
    yield lambda: "".join(drafts.get(telegram_id(sender.name), [])[-1:])


@asynccontextmanager
async def written_on_whatsapp(server: Server, sender: Sender, text: str) -> AsyncIterator[Seen]:
    """Ask in the direct chat, where only dots can be shown."""
    before = set(server.whatsapp.inbound)
    await WhatsAppDriver(server).say(sender, text)
    asked = server.whatsapp.inbound - before
    yield lambda: DOTS if any(each.typing and each.message_id in asked for each in server.whatsapp.receipts) else ""


@asynccontextmanager
async def written_on_slack(server: Server, sender: Sender, text: str) -> AsyncIterator[Seen]:
    """Ask at the top of the direct chat, where a message grows into the answer."""
    await SlackDriver(server).say(sender, text)
    yield lambda: _unfinished(server, sender, None)


@asynccontextmanager
async def streamed_on_slack(server: Server, sender: Sender, text: str) -> AsyncIterator[Seen]:
    """Ask in a thread of the direct chat, where Slack streams."""
    thread = server.slack.new_ts()
    event = server.slack.event(user=user(sender.name), text=text, channel=direct(sender.name), thread_ts=thread)
    await server.deliver(event)
    yield lambda: _unfinished(server, sender, thread)


def _unfinished(server: Server, sender: Sender, thread: str | None) -> str:
    """Return the text of an unfinished answer that a person sees."""
    posts = [post for post in server.slack.posts if post.channel == direct(sender.name) and is_unfinished(post)]
    return "".join(post.shown.strip().removeprefix(DOTS) for post in posts if post.thread_ts == thread)


PLATFORMS = {"slack": SlackPlatform, "telegram": TelegramPlatform, "whatsapp": WhatsAppPlatform}
WRITTEN = {
    "http": written_on_http,
    "slack": written_on_slack,
    "slack in a thread": streamed_on_slack,
    "telegram": written_on_telegram,
    "whatsapp": written_on_whatsapp,
}
SHOWS_DOTS = frozenset({"whatsapp"})


def _shown_in_slack(server: Server, group: str) -> list[str]:
    return [post.shown for post in server.slack.posts if post.channel == f"C0{group.upper()}"]


def _shown_in_telegram(server: Server, group: str) -> list[str]:
    return [message.text for message in server.telegram.chats.in_chat(-telegram_id(group))]


# For each platform whose answers grow in groups: what everybody in a group sees, unfinished answers included.
GROUPS: Mapping[str, Callable[[Server, str], Callable[[], list[str]]]] = {
    "slack": lambda server, group: partial(_shown_in_slack, server, group),
    "telegram": lambda server, group: partial(_shown_in_telegram, server, group),
}


class Threads(Protocol):
    """The threads or topics of one group."""

    async def say(self, sender: Sender, text: str, thread: int) -> httpx2.Response:
        """Mention the assistant in the thread with this number."""
        ...

    def shown(self, thread: int) -> list[str]:
        """Return the texts that everybody was shown in the thread."""
        ...


class SlackThreads:
    """The threads of a channel."""

    def __init__(self, server: Server, group: str) -> None:
        self._server = server
        self._channel = f"C0{group.upper()}"

    async def say(self, sender: Sender, text: str, thread: int) -> httpx2.Response:
        event = self._server.slack.event(
            user=user(sender.name),
            text=f"<@U0BOT> {text}",
            channel=self._channel,
            thread_ts=f"1700000000.{thread:06}",
            kind="app_mention",
        )
        return await self._server.deliver(event)

    def shown(self, thread: int) -> list[str]:
        posts = self._server.posted(self._channel)
        return [post.text for post in posts if post.thread_ts == f"1700000000.{thread:06}"]


class TelegramThreads:
    """The topics of a forum."""

    def __init__(self, server: Server, group: str) -> None:
        self._server = server
        self._chat = -telegram_id(group)
        server.telegram.chats.forums.add(self._chat)

    async def say(self, sender: Sender, text: str, thread: int) -> httpx2.Response:
        people = self._server.telegram.people
        words = f"@{people.bot['username']} {text}"
        update = people.write(telegram_id(sender.name), words, chat=self._chat, thread=thread)
        return await people.post(self._server.client, update)

    def shown(self, thread: int) -> list[str]:
        messages = self._server.telegram.chats.in_chat(self._chat)
        return [message.text for message in messages if message.thread_id == thread]


THREADS: Mapping[str, Callable[[Server, str], Threads]] = {"slack": SlackThreads, "telegram": TelegramThreads}
