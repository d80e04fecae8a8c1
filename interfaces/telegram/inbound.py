"""Handles updates, however they arrive: at the webhook or by polling."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from app.delivery.work.intake import Intake
from app.delivery.work.stopping import Stopping
from app.errors import InvalidMessageError, NotAllowedError, OffboardedError, OverLimitError
from app.log_once import LogOnce
from app.messages import InboundMessage
from interfaces.telegram.bot_api import BotApi
from interfaces.telegram.courtesies import Courtesies
from interfaces.telegram.drafts import AnswerDrafts
from interfaces.telegram.update import Press, Telegram, Unanswerable, group_of, is_of_group, read_stop, read_update
from interfaces.telegram.upgrades import Upgrades, read_upgrade

log = logging.getLogger(__name__)

ALLOWED_UPDATES = ("message", "callback_query", "stopped_message_generation")
NOT_ALLOWED = "You may not use me here yet. Give this to my administrator: person {user}{group}."


class TelegramInbound:
    """Stores people's messages, presses included. Lives as long as the process and holds no message.

    Once `take` returns, Telegram may be told that the update has arrived; if it raises, Telegram should send it again.
    """

    def __init__(
        self,
        intake: Intake,
        stopping: Stopping,
        api: BotApi,
        drafts: AnswerDrafts,
        courtesies: Courtesies,
        upgrades: Upgrades,
    ) -> None:
        self._intake = intake
        self._stopping = stopping
        self._api = api
        self._drafts = drafts
        self._courtesies = courtesies
        self._upgrades = upgrades
        self._log = LogOnce(log)

    async def take(self, update: Mapping[str, Any]) -> None:
        """Store a person's message, to be answered later, or act on another update.

        An update that Telegram documents otherwise is logged and counts as taken: sent again it would be the same.

        Raises:
            UnavailableError: Too many messages wait in total, or Telegram does not say the bot's name.
        """
        try:
            if stop := read_stop(update, self._api.bot_id):
                await self._stopping.stop_all(*stop)
                return
            if upgrade := read_upgrade(update):
                await self._upgrades.note(*upgrade)
                return
            username = await self._api.username() if is_of_group(update) else ""
            group = group_of(update)
            first_chat = await self._upgrades.first_id(group) if group is not None else None
            found = read_update(update, Telegram(self._api.bot_id, username, first_chat))
            if isinstance(found, Press):
                await self._take_press(found, update)
            elif isinstance(found, Unanswerable):
                self._courtesies.tell(found.address, found.words)
            elif found is not None:
                await self._take(found)
        except InvalidMessageError as error:
            self._log.warning(str(error), "an update was ignored: %s", error)

    async def _take_press(self, press: Press, update: Mapping[str, Any]) -> None:
        if press.message is not None:
            await self._take(press.message)
        pressed = update["callback_query"].get("message")
        served = press.message is not None and press.message.address["direct"] and isinstance(pressed, dict)
        where = (pressed["chat"]["id"], pressed["message_id"]) if served else None
        self._courtesies.answer_press(press.query_id, where)

    async def _take(self, message: InboundMessage) -> None:
        try:
            stored = await self._intake.accept(message)
        except NotAllowedError:
            group = f", group {message.chat}" if message.chat else ""
            self._courtesies.tell(message.address, NOT_ALLOWED.format(user=message.principal.user, group=group))
        except OffboardedError as error:
            log.warning("a message was ignored: %s", error)
        except OverLimitError as error:
            # Sent again, it would hold up other people's updates, which Telegram sends in order.
            self._courtesies.tell(message.address, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        else:
            self._drafts.follow(stored)
