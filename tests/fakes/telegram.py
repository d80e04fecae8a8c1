"""A Telegram, and the bot's channel to it, without a server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from app.database.database import Database
from app.delivery.replies.streams import Streams
from app.delivery.store.notes import ChannelNotes
from app.messages import MessageState, StoredMessage
from app.network import open_client
from app.principal import Principal
from app.reply import ReplyContent
from app.sandbox.server import serve_loopback
from app.sandbox.telegram.rates import SendLimits
from app.sandbox.telegram.sandbox import TelegramSandbox
from interfaces.telegram.bot_api import BotApi, load
from interfaces.telegram.client import TelegramChannel
from interfaces.telegram.drafts import AnswerDrafts
from interfaces.telegram.growing import GroupAnswers
from interfaces.telegram.pace import Pace
from interfaces.telegram.posting import BotMessages
from interfaces.telegram.upgrades import Upgrades
from tests.fakes.databases import SqliteDatabases
from tests.fakes.notes import RememberedNotes

TOKEN, BOT = "700:" + "x" * 35, "700"
ADA, GRACE, GROUP = 11, 22, -1001


@dataclass
class TelegramStage:
    """A Telegram in which Ada and Grace have started the private chat and share a group, with the bot's channel."""

    telegram: TelegramSandbox
    api: BotApi
    channel: TelegramChannel
    streams: Streams
    drafts: AnswerDrafts

    async def answer(
        self, message: StoredMessage, content: ReplyContent | str, *, private: bool = True, again: bool = False
    ) -> None:
        """Answer a message."""
        content = content if isinstance(content, ReplyContent) else ReplyContent(content)
        await self.channel.send(message, content, private=private, reply_id=message.message_id, again=again)

    def texts(self, chat: int) -> list[str]:
        """Return the texts that the bot sent to a chat."""
        return [message.text for message in self.telegram.chats.in_chat(chat)]


@asynccontextmanager
async def telegram_stage(
    limits: SendLimits | None = None, pace: Pace | None = None, notes: ChannelNotes | None = None
) -> AsyncIterator[TelegramStage]:
    """Yield a stage until the block ends."""
    telegram = TelegramSandbox(token=TOKEN, secret="s" * 16, limits=limits)
    telegram.chats.started |= {ADA, GRACE}
    telegram.chats.groups.add(GROUP)
    streams = Streams()
    async with (
        serve_loopback(telegram.app) as url,
        open_client(60.0) as http,
        telegram_channel(http, url, streams, pace, notes) as (api, channel),
    ):
        yield TelegramStage(telegram, api, channel, streams, channel._drafts)


@asynccontextmanager
async def telegram_channel(
    http: httpx2.AsyncClient,
    url: str,
    streams: Streams | None = None,
    pace: Pace | None = None,
    notes: ChannelNotes | None = None,
) -> AsyncIterator[tuple[BotApi, TelegramChannel]]:
    """Yield the Bot API at a URL and the channel to it; the channel waits between messages only if it has a pace."""
    load()
    api = BotApi(http, token=TOKEN, base_url=url)
    drafts = AnswerDrafts(api, streams or Streams(), every_seconds=0.0)
    async with _database() as database:
        upgrades, pace = Upgrades(database, bot_id=int(BOT)), pace or Pace(0.0, 0.0)
        posting = BotMessages(api, upgrades)
        answers = GroupAnswers(posting, notes or RememberedNotes(), pace, seconds=0.0)
        yield api, TelegramChannel(api, posting, drafts, answers, pace, upgrades)
        await drafts.aclose()


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(await SqliteDatabases(Path(folder)).migrated("telegram"))
        yield database
        await database.close()


def told(person: int, *, group: int | None = None, thread: int | None = None, **changes: Any) -> StoredMessage:
    """Return a message of this person, in their private chat or in a group."""
    fields: dict[str, Any] = {
        "message_id": f"{person:032x}",
        "principal": Principal("telegram", BOT, str(person)),
        "conversation": f"{group or person}:{thread or ''}",
        "sequence": 1,
        "text": "hello",
        "address": {"chat": group or person, "thread": thread, "message": 5, "direct": group is None},
        "state": MessageState.RUNNING,
        "attempt": 1,
        "interruptions": 0,
        "failures": 0,
        "answer": None,
        "link_id": None,
        "private": False,
        "created_at": time.time(),
    }
    return StoredMessage(**{**fields, **changes})
