"""Fairness: which messages may run at the same time, so that nobody delays the others or takes them down."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.delivery.store.inbox import Upcoming
from app.messages import ConversationKey
from app.principal import Principal

_ALONE_FROM = 2  # interruptions


class Fairness:
    """Gives turns within one process. Lives as long as the process and holds people and conversations, never messages.

    A person may run a limited number of messages at a time. Their further conversations step aside, take no room from
    others, and are woken when one of these messages ends.

    A message that was running when a process died or froze is a suspect. Suspects run one at a time, so that the next
    death points at one of them; one that was interrupted twice runs alone, so that a third death hits nobody else.
    """

    def __init__(self, concurrency: int, person_concurrency: int) -> None:
        self._person_concurrency = person_concurrency
        self._taken: Counter[Principal] = Counter()
        self._aside: defaultdict[Principal, dict[ConversationKey, None]] = defaultdict(dict)
        self._on_trial = False
        self._suspects: dict[ConversationKey, None] = {}  # waiting for their trial, in order
        self._places = asyncio.Semaphore(concurrency)
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._open = asyncio.Event()  # cleared while a suspect is, or is about to be, alone
        self._open.set()

    def enter(self, upcoming: Upcoming, conversation: ConversationKey) -> bool:
        """Take a turn for this message; return False if its conversation has to step aside until it is woken again."""
        if self._taken[upcoming.principal] >= self._person_concurrency:
            self._aside[upcoming.principal][conversation] = None
            return False
        if upcoming.interruptions:
            if self._on_trial:
                self._suspects[conversation] = None
                return False
            self._on_trial = True
        self._taken[upcoming.principal] += 1
        return True

    def leave(self, upcoming: Upcoming) -> list[ConversationKey]:
        """Give the turn of this message back, and return the conversations to wake that had stepped aside."""
        self._taken[upcoming.principal] -= 1
        if not self._taken[upcoming.principal]:
            del self._taken[upcoming.principal]
        woken = []
        if (aside := self._aside.get(upcoming.principal)) is not None:
            woken.append(_take_first(aside))
            if not aside:
                del self._aside[upcoming.principal]
        if upcoming.interruptions:
            self._on_trial = False
            if self._suspects:
                woken.append(_take_first(self._suspects))
        return woken

    @asynccontextmanager
    async def room(self, upcoming: Upcoming) -> AsyncIterator[None]:
        """Wait for room, first come, first served, and hold it while the message runs.

        Call `enter` first: only the one suspect on trial can ask to be alone.
        """
        async with self._alone() if upcoming.interruptions >= _ALONE_FROM else self._place():
            yield

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        while True:
            await self._open.wait()
            await self._places.acquire()
            if self._open.is_set():
                break
            self._places.release()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()
            self._places.release()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        self._open.clear()
        try:
            await self._empty.wait()
            yield
        finally:
            self._open.set()


def _take_first(waiting: dict[ConversationKey, None]) -> ConversationKey:
    conversation = next(iter(waiting))
    del waiting[conversation]
    return conversation
