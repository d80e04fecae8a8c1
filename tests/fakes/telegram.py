"""A Telegram and the bot's way to it, without a server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.delivery.replies.streams import Streams
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
from interfaces.telegram.pace import Pace

TOKEN, BOT = "700:" + "x" * 35, "700"
ADA, GRACE, GROUP = 11, 22, -1001


@dataclass
class TelegramStage:
    """A Telegram in which Ada and Grace have started the private chat and share a group, and the bot's way there."""

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
        """What the bot sent to a chat."""
        return [message.text for message in self.telegram.chats.in_chat(chat)]


@asynccontextmanager
async def telegram_stage(limits: SendLimits | None = None, pace: Pace | None = None) -> AsyncIterator[TelegramStage]:
    """A stage until the context ends."""
    load()
    telegram = TelegramSandbox(token=TOKEN, secret="s" * 16, limits=limits)
    telegram.chats.started |= {ADA, GRACE}
    telegram.chats.groups.add(GROUP)
    async with serve_loopback(telegram.app) as url, open_client(60.0) as http:
        api, streams = BotApi(http, token=TOKEN, base_url=url), Streams()
        drafts = AnswerDrafts(api, streams, every_seconds=0.0)
        yield TelegramStage(telegram, api, TelegramChannel(api, drafts, pace or Pace(0.0, 0.0)), streams, drafts)
        await drafts.aclose()


def told(person: int, *, group: int | None = None, thread: int | None = None, **changes: Any) -> StoredMessage:
    """A message of this person, in their private chat or in a group."""
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
