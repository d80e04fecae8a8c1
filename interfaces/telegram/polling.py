"""Asks Telegram for updates (https://core.telegram.org/bots/api#getupdates), which needs no public address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from app.delivery.store.polls import PollLeases
from app.errors import DeputyError, SettingsError, UnavailableError, UndeliverableError
from app.log_once import LogOnce
from app.supervisor import Supervisor, guarded
from interfaces.telegram.bot_api import BotApi
from interfaces.telegram.courtesies import Courtesies
from interfaces.telegram.drafts import AnswerDrafts
from interfaces.telegram.inbound import ALLOWED_UPDATES, TelegramInbound

log = logging.getLogger(__name__)

_POLL_SECONDS = 25  # how long Telegram holds a request until something arrives
_LEASE_SECONDS = 60.0  # longer than a poll with its answer takes
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_AT_ONCE = 100  # updates


class TelegramPolling:
    """Polls, if this process is the one that may. Lives as long as the process.

    The next poll confirms the updates of the last one, so it begins once all their messages are stored; an update that
    cannot be stored is asked for again, with those after it. A stored update counts once.

    Args:
        poll_seconds: How long Telegram holds a request.
        pause_seconds: How long to wait after a fault, doubled with each one more.
    """

    def __init__(
        self,
        inbound: TelegramInbound,
        api: BotApi,
        leases: PollLeases,
        supervisor: Supervisor,
        drafts: AnswerDrafts,
        courtesies: Courtesies,
        *,
        poll_seconds: int = _POLL_SECONDS,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._inbound = inbound
        self._api = api
        self._leases = leases
        self._supervisor = supervisor
        self._drafts = drafts
        self._courtesies = courtesies
        self._poll_seconds = poll_seconds
        self._pause_seconds = pause_seconds
        self._name = f"telegram:{api.bot_id}"
        self._offset = 0
        self._log = LogOnce(log)

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Poll until the context ends.

        Raises:
            SettingsError: Telegram refuses the token.
        """
        try:
            await self._api.username()
        except UndeliverableError as error:
            raise SettingsError(
                f"interfaces.telegram.bot_token: Telegram refuses it: {error.reason}; @BotFather shows your bot's token"
            ) from None
        except UnavailableError:
            pass  # it is tried again
        try:
            async with self._supervisor.keeping(telegram_polling=self._poll_for_ever):
                yield
        finally:
            await guarded("giving back the polling of Telegram", self._leases.give_back(self._name))
            await self._drafts.aclose()
            await self._courtesies.aclose()

    async def poll(self) -> bool:
        """Ask for updates once and store their messages; return False if another process is polling.

        Raises:
            UnavailableError: Telegram refuses it for now, or a message cannot be stored for now.
            UndeliverableError: Telegram refuses it.
        """
        if not await self._leases.hold(self._name, _LEASE_SECONDS):
            return False
        for update in await self._updates():
            await self._inbound.take(update)
            self._offset = update["update_id"] + 1
        return True

    async def _updates(self) -> Sequence[dict[str, Any]]:
        updates = await self._api.updates(
            offset=self._offset, limit=_AT_ONCE, seconds=self._poll_seconds, allowed=ALLOWED_UPDATES
        )
        return [update for update in updates if isinstance(update, dict) and isinstance(update.get("update_id"), int)]

    async def _poll_for_ever(self) -> None:
        pause = self._pause_seconds
        while True:
            try:
                polled = await self.poll()
            except DeputyError as error:
                self._log.warning(str(error), "Telegram gives no updates: %s%s", error, _advice(error))
                wait = max(pause, getattr(error, "retry_after", 0.0))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                await asyncio.sleep(wait)
            else:
                pause = self._pause_seconds
                if not polled:
                    await asyncio.sleep(_LEASE_SECONDS / 4)


def _advice(error: DeputyError) -> str:
    """Return how to end a conflict: Telegram has one receiver for a bot."""
    if getattr(error, "reason", None) != "conflict":
        return ""
    return "; another program polls with this token, or a webhook is set (`deputy telegram status`)"


class TelegramWebhook:
    """Receives nothing by itself: the webhook does. It finishes what the bot does beside answering."""

    def __init__(self, drafts: AnswerDrafts, courtesies: Courtesies) -> None:
        self._drafts = drafts
        self._courtesies = courtesies

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Wait until the context ends."""
        try:
            yield
        finally:
            await self._drafts.aclose()
            await self._courtesies.aclose()
