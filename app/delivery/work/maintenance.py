"""Maintenance: looking every few seconds for work that a lost hint or a dead process left behind."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from app.delivery.engines.engine import Wakeups
from app.delivery.replies.sender import Sender
from app.delivery.store.inbox import Inbox
from app.delivery.store.parking import Parking
from app.delivery.store.retention import Retention
from app.messages import ConversationKey
from app.supervisor import Rounds

_ERASE_SECONDS = 3600.0
_CHORES_EVERY = 6  # looks; what they end expires after minutes


class Maintenance:
    """Finds work that nobody is doing; lives as long as the process. Each step may run twice.

    Args:
        chores: Further steps, such as ending what has expired.
    """

    def __init__(
        self,
        inbox: Inbox,
        parking: Parking,
        wakeups: Wakeups,
        sender: Sender,
        retention: Retention,
        chores: Sequence[Callable[[], Awaitable[None]]] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rounds = Rounds()
        self._inbox = inbox
        self._parking = parking
        self._wakeups = wakeups
        self._sender = sender
        self._retention = retention
        self._chores = chores
        self._now = now
        self._erase_at = now()
        self._looks = 0

    async def do(self, in_hands: Collection[ConversationKey]) -> None:
        """Look once.

        Args:
            in_hands: The conversations that this process is working on.
        """
        await self._rounds.run("looking for undone work", self._do_undone(in_hands))
        if self._looks % _CHORES_EVERY == 0:
            for chore in self._chores:
                await self._rounds.run(f"the chore {chore.__qualname__}", chore())
        self._looks += 1
        if self._now() >= self._erase_at:
            self._erase_at = self._now() + _ERASE_SECONDS
            await self._rounds.run("erasing old messages", self._retention.erase())

    async def _do_undone(self, in_hands: Collection[ConversationKey]) -> None:
        if await self._inbox.is_idle():
            return  # most looks of a quiet server find nothing, and five more statements would find the same
        await self._rounds.run("giving up expired messages", self._parking.give_up_expired())
        await self._rounds.run("waking answered messages", self._parking.wake_answered())
        await self._rounds.run("putting lost messages back", self._inbox.put_back_lost(in_hands))
        await self._rounds.run("waking undone messages", self._wake_undone(in_hands))
        await self._rounds.run("looking for due replies", self._sender.look_for_due())

    async def _wake_undone(self, in_hands: Collection[ConversationKey]) -> None:
        for conversation in await self._inbox.conversations_with_work():
            if conversation not in in_hands:  # otherwise the task that has it looks again anyway
                await self._wakeups.wake(conversation)
