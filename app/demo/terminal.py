"""Lets somebody at a terminal write as the sandbox's people on every channel, and shows what Deputy answers."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import httpx2

from app.demo.chats import SlackChat, TelegramChat, WhatsAppChat
from app.demo.platforms import Platforms
from app.sandbox.people import Person
from app.sandbox.whatsapp.people import WhatsAppPerson

_LINE = re.compile(r"\s*(\w+)@(\w+)(?:#([A-Za-z0-9]{1,20}))?\s*:\s*(\S.*)")
_FORM = "write it like `{name}@telegram: show my unread mail`, or `{name}@slack#team: …` in a group"
_SETTLED_SECONDS = 0.4  # without a change, as answers grow on some channels while they are written

Chat = SlackChat | TelegramChat | WhatsAppChat
_Found = tuple[Hashable, str, str]  # a message's key, where it is, and its words


class TypedLineError(ValueError):
    """A typed line cannot be sent; its words say why."""


@dataclass(slots=True)
class _Seen:
    """A message as it was seen last, and whether it was shown."""

    text: str
    at: float
    shown: bool = False


class TerminalChats:
    """The sandbox's people on Slack, Telegram and WhatsApp. Lives for one command.

    Args:
        client: Reaches the server.
        platforms: The sandboxes.
        people: Everybody who has a Google account there.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        platforms: Platforms,
        people: Sequence[Person],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._platforms = platforms
        self._now = now
        self._names = [person.name.split()[0] for person in people]
        self._groups: dict[Hashable, str] = {}
        self._seen: dict[Hashable, _Seen] = {}

    async def say(self, line: str) -> None:
        """Send what a typed line says: ``ada@telegram: words``, or ``ada@telegram#team: words`` in a group.

        Raises:
            TypedLineError: It names nobody, or the server does not take it.
        """
        found = _LINE.fullmatch(line)
        if found is None:
            raise TypedLineError(_FORM.format(name=self._names[0].lower()))
        name, platform, group, words = found.groups()
        chat = self._chat(name, platform.lower(), group.lower() if group else None)
        try:
            await chat.write(words)
        except httpx2.HTTPStatusError as error:
            raise TypedLineError(f"the server answers {error.response.status_code}") from None
        except httpx2.HTTPError:
            raise TypedLineError(f"no server answers at {self._client.base_url}; is `deputy serve` running?") from None

    def news(self) -> list[str]:
        """Return what Deputy has written since, each with the place where it stands."""
        news, now = [], self._now()
        for key, place, text in self._written():
            seen = self._seen.setdefault(key, _Seen(text, now))
            if seen.text != text:
                self._seen[key] = _Seen(text, now)
            elif not seen.shown and now - seen.at >= _SETTLED_SECONDS:
                seen.shown = True
                news.append(f"{place}: {text}")
        return news

    def _chat(self, name: str, platform: str, group: str | None) -> Chat:
        if name.title() not in self._names:
            raise TypedLineError(f"the sandbox knows {', '.join(self._names)}, not {name}")
        number, name, sandboxes = self._names.index(name.title()), name.title(), self._platforms
        match platform:
            case "slack":
                channel = f"C0{group.upper()}" if group else None
                self._groups["slack", channel] = str(group)
                return SlackChat(self._client, sandboxes.slack, f"U0{name.upper()}", channel)
            case "telegram":
                chat = -1_000_000 - zlib.crc32(group.encode()) if group else None
                self._groups["telegram", chat] = str(group)
                return TelegramChat(self._client, sandboxes.telegram, _telegram_id(number), chat)
            case "whatsapp":
                person = WhatsAppPerson(name, f"4915550000{number + 1}", f"US.{name.upper()}")
                return WhatsAppChat(self._client, sandboxes.whatsapp, sandboxes.portfolio, person, group)
        raise TypedLineError(f"people write on slack, telegram or whatsapp, not on {platform}")

    def _written(self) -> Iterator[_Found]:
        """Yield all of Deputy's messages, in the order of each platform."""
        for post in self._platforms.slack.posts:
            reader = (post.user or "")[2:] or (post.channel[2:] if post.channel.startswith("D") else "")
            place = f"to {reader.title()}" if reader else f"in #{self._groups.get(('slack', post.channel))}"
            yield ("slack", post.channel, post.ts), f"slack, {place}", post.shown
        for message in self._platforms.telegram.chats.sent:
            chat = message.chat_id
            group = self._groups.get(("telegram", chat))
            place = f"in #{group}" if chat < 0 else f"to {self._names[chat - _telegram_id(0)]}"
            yield ("telegram", chat, message.message_id), f"telegram, {place}", message.text
        for number, shown in enumerate(self._platforms.whatsapp.shown):
            is_group = shown.request.get("recipient_type") == "group"
            place = f"in #{shown.recipient}" if is_group else f"to {shown.recipient.partition('.')[2].title()}"
            yield ("whatsapp", number), f"whatsapp, {place}", shown.text


def _telegram_id(number: int) -> int:
    """Return the Telegram id of the person with this number."""
    return 4100 + number
