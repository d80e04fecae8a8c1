"""Wake-ups: the hint that a conversation may have undone messages. The rows are the truth; a hint may be lost."""

from __future__ import annotations

import asyncio

from app.messages import ConversationKey


class Wakeups:
    """Hands conversations from whoever made work to the worker; lives as long as the process.

    It holds keys, never messages, and a conversation once however often it is woken.
    """

    def __init__(self) -> None:
        self._waiting: dict[ConversationKey, None] = {}  # in the order of their first wake-up
        self._not_empty = asyncio.Event()

    async def wake(self, conversation: ConversationKey) -> None:
        """Have the worker look at a conversation, soon and at least once."""
        self._waiting[conversation] = None
        self._not_empty.set()

    async def next(self) -> ConversationKey:
        """The conversation that has waited longest; waits until there is one."""
        while not self._waiting:
            self._not_empty.clear()
            await self._not_empty.wait()
        conversation = next(iter(self._waiting))
        del self._waiting[conversation]
        return conversation
