"""The people of a crowd, each on one channel: the messages they send, and everything that is shown to them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

import httpx2

from app.principal import Principal
from app.sandbox.whatsapp.people import WhatsAppPerson
from tests.fakes.server import PORTFOLIO, TEAM, Server, direct, user

PLATFORMS = ("slack", "telegram", "whatsapp", "http")
_GROUPS = 10  # on each platform
_SLACK_GROUP = "C0TEAM"

Delivery = Callable[[], Awaitable[httpx2.Response]]
Shown = tuple[Principal | None, str]  # the reader, None for a whole group; and the text


@dataclass(frozen=True)
class Member:
    """One person of a crowd.

    Attributes:
        number: 0, 1, 2, …; consecutive members are on different channels.
        email: Their Google account.
    """

    number: int
    email: str

    @property
    def platform(self) -> str:
        """Return the channel that they write on."""
        return PLATFORMS[self.number % len(PLATFORMS)]

    @property
    def name(self) -> str:
        """Return their name, which is the same on every channel."""
        return f"M{self.number:02}"

    def principal(self, server: Server) -> Principal:
        """Return the principal that Deputy takes them for."""
        match self.platform:
            case "slack":
                return Principal("slack", TEAM, user(self.name))
            case "telegram":
                return Principal("telegram", str(server.telegram.people.bot["id"]), str(self._telegram_id))
            case "whatsapp":
                return Principal("whatsapp", PORTFOLIO, f"GB.{self.name}")
        return Principal("http", "demo", self.name)

    def delivery(self, server: Server, text: str, *, group: int | None, event: int) -> Delivery:
        """Return the delivery of their message; awaited again, it repeats, as platforms sometimes do.

        Args:
            server: The server to write to.
            text: Their words.
            group: The number of the group or thread that they write in; None if they are alone with the assistant.
            event: The message's own number.
        """
        match self.platform:
            case "slack":
                return self._on_slack(server, text, group)
            case "telegram":
                words = text if group is None else f"@{server.telegram.people.bot['username']} {text}"
                chat = None if group is None else -1000 - group
                update = server.telegram.people.write(self._telegram_id, words, chat=chat)
                return partial(server.telegram.people.post, server.client, update)
            case "whatsapp":
                person = WhatsAppPerson(self.name, None, f"GB.{self.name}")
                message = server.whatsapp.message(person, body=text, group_id=None if group is None else f"G{group}")
                webhook = server.whatsapp.batch(([person], [message]))
                return partial(server.whatsapp.post, server.client, "/whatsapp/webhook", webhook)
        principal = self.principal(server)
        return partial(server.ask, principal, text, id=f"event{event}", conversation=f"c{group}")

    def _on_slack(self, server: Server, text: str, group: int | None) -> Delivery:
        if group is None:
            event = server.slack.event(user=user(self.name), text=text, channel=direct(self.name))
        else:
            event = server.slack.event(
                user=user(self.name),
                text=f"<@U0BOT> {text}",
                channel=_SLACK_GROUP,
                thread_ts=f"1700000000.{group:06}",
                kind="app_mention",
            )
        return partial(server.deliver, event)

    @property
    def _telegram_id(self) -> int:
        return 5000 + self.number


def some_group(random_: random.Random) -> int:
    """Return the number of a group."""
    return random_.randrange(_GROUPS)


async def shown(server: Server, members: Iterable[Member], asked: Iterable[tuple[Member, str]]) -> list[Shown]:
    """Return every text that was shown on any channel, each with its reader.

    Args:
        server: The server that answered.
        members: All who can read something.
        asked: The messages sent over HTTP, by sender and id.
    """
    people = {(member.platform, member.principal(server).user): member.principal(server) for member in members}
    found: list[Shown] = []
    for post in server.slack.posts:
        reader = post.user or (f"U{post.channel[1:]}" if post.channel != _SLACK_GROUP else "")
        found.append((people["slack", reader] if reader else None, post.text))
    for message in server.telegram.chats.sent:
        found.append((None if message.chat_id < 0 else people["telegram", str(message.chat_id)], message.text))
    for chat, drafts in server.telegram.chats.drafts.items():
        found += [(people["telegram", str(chat)], draft) for draft in drafts]
    for each in server.whatsapp.shown:
        is_group = each.request.get("recipient_type") == "group"
        found.append((None if is_group else people["whatsapp", each.recipient], each.text))
    for member, message_id in asked:
        told = await server.told(member.principal(server), message_id, wait=0)
        found.append((member.principal(server), told.get("answer") or ""))
    return found
