"""The bot's courtesies beside its answers: it ends the wait after a press, and tells why somebody is not answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from app.errors import DeputyError
from app.log_once import LogOnce
from app.supervisor import cancel
from interfaces.telegram.bot_api import BotApi, in_our_words

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60.0  # until the same chat is told a refusal again
_CHATS_AT_MOST = 10_000  # remembered
_SECONDS = 15.0  # that one may take


class Courtesies:
    """Does it in the background, once, and logs what fails. Lives as long as the process, and remembers chats.

    Args:
        api: The bot.
        now: A monotonic clock.
    """

    def __init__(self, api: BotApi, now: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._now = now
        self._told_at: OrderedDict[int, float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = LogOnce(log)

    def answer_press(self, query_id: str, pressed: tuple[int, int] | None) -> None:
        """End the wait of the person who pressed a button, and take the buttons away.

        Args:
            query_id: The callback query.
            pressed: The chat and the message whose buttons have served their purpose; None to leave them.
        """
        self._begin(self._answer_press(query_id, pressed))

    def tell(self, address: Mapping[str, Any], words: str) -> None:
        """Tell a chat why somebody there is not answered, once a minute at most."""
        chat, now = int(address["chat"]), self._now()
        if now - self._told_at.get(chat, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return
        self._told_at[chat] = now
        self._told_at.move_to_end(chat)
        if len(self._told_at) > _CHATS_AT_MOST:
            self._told_at.popitem(last=False)
        self._begin(self._tell(address, words))

    async def aclose(self) -> None:
        """Finish what has begun, as far as it does within seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SECONDS)
            await cancel([*self._tasks])

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Awaitable[None]) -> None:
        """Await the work; the outermost edge of a task."""
        try:
            async with asyncio.timeout(_SECONDS):
                await work
        except (DeputyError, TimeoutError) as error:
            self._log.warning(str(error), "Telegram was not told: %s", error or "no answer")
        except Exception as error:
            self._log.error(type(error).__name__, "telling Telegram failed: %s", type(error).__name__)

    async def _answer_press(self, query_id: str, pressed: tuple[int, int] | None) -> None:
        bot = await self._api.bot()
        with in_our_words():
            await bot.answer_callback_query(query_id)
        if pressed is not None:
            chat, message = pressed
            with in_our_words():
                await bot.edit_message_reply_markup(chat_id=chat, message_id=message, reply_markup=None)

    async def _tell(self, address: Mapping[str, Any], words: str) -> None:
        bot = await self._api.bot()
        from aiogram.types import ReplyParameters

        with in_our_words():
            await bot.send_message(
                address["chat"],
                words,
                message_thread_id=address["thread"],
                reply_parameters=ReplyParameters(message_id=address["message"], allow_sending_without_reply=True)
                if address["message"]
                else None,
            )
