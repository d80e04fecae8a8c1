"""Keeps the bot within Telegram's limits (https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.errors import UnavailableError

CHAT_SECONDS, GROUP_SECONDS = 1.0, 3.0  # between two messages in one chat; a group gets 20 in a minute
_CHATS_AT_MOST = 10_000  # remembered
_WAIT_AT_MOST_SECONDS = 5.0  # here; a longer wait is the sender's, which lets others pass


class Pace:
    """Spaces the messages of each chat, and edits. Lives as long as the process and holds ids of chats, with times.

    Other processes may send to the same chat, and then Telegram refuses some; they are sent when it says so.

    Args:
        chat_seconds: The time between two messages in a private chat.
        group_seconds: The same for a group.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        chat_seconds: float = CHAT_SECONDS,
        group_seconds: float = GROUP_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = {False: chat_seconds, True: group_seconds}
        self._now = now
        self._free_at: OrderedDict[int, float] = OrderedDict()

    @asynccontextmanager
    async def turn(self, chat_id: int) -> AsyncIterator[None]:
        """Wait until a message may be sent to a chat; the context sends it.

        The next one waits from the context's end on: only then is it known that this one has arrived, and two that are
        sent a second apart may arrive within one.

        Raises:
            UnavailableError: That is longer than one waits here.
        """
        now = self._now()
        turn = max(now, self._free_at.get(chat_id, 0.0))
        if turn - now > _WAIT_AT_MOST_SECONDS:
            raise UnavailableError("the chat gets many messages", reason="pace", retry_after=turn - now)
        self._count(chat_id, turn)
        if turn > now:
            await asyncio.sleep(turn - now)
        try:
            yield
        finally:
            self.arrived(chat_id)

    def seconds_until_free(self, chat_id: int) -> float:
        """Return how long no message may be sent to a chat; 0.0 if one may be sent now."""
        return max(0.0, self._free_at.get(chat_id, 0.0) - self._now())

    def take_if_free(self, chat_id: int) -> bool:
        """Count a message to a chat if one may be sent now; return whether it may."""
        if self.seconds_until_free(chat_id):
            return False
        self._count(chat_id, self._now())
        return True

    def arrived(self, chat_id: int) -> None:
        """Note that a message to a chat, or an edit, has arrived by now."""
        self.rest(chat_id, self._seconds[chat_id < 0])

    def rest(self, chat_id: int, seconds: float) -> None:
        """Send nothing to a chat for this long, as when Telegram asks to wait."""
        self._keep(chat_id, max(self._free_at.get(chat_id, 0.0), self._now() + seconds))

    def _count(self, chat_id: int, turn: float) -> None:
        self._keep(chat_id, turn + self._seconds[chat_id < 0])

    def _keep(self, chat_id: int, free_at: float) -> None:
        self._free_at[chat_id] = free_at
        self._free_at.move_to_end(chat_id)
        if len(self._free_at) > _CHATS_AT_MOST:
            self._free_at.popitem(last=False)
