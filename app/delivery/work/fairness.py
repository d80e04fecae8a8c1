"""Fairness: how many messages are in work at once, in all and a person, so that nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from app.messages import ConversationKey
from app.principal import Principal


class Fairness:
    """Gives turns within one process; lives as long as it does.

    A person who has all their turns takes no room from others: a further conversation of theirs steps aside and is
    woken when one of their messages ends. It holds persons and conversations, never messages.

    Attributes:
        room: Held while a message is in work; first come, first served.
    """

    def __init__(self, concurrency: int, person_concurrency: int) -> None:
        self.room = asyncio.Semaphore(concurrency)
        self._person_concurrency = person_concurrency
        self._taken: Counter[Principal] = Counter()
        self._aside: defaultdict[Principal, dict[ConversationKey, None]] = defaultdict(dict)

    def enter(self, principal: Principal, conversation: ConversationKey) -> bool:
        """Take one of this person's turns; False when they have all, and the conversation stepped aside."""
        if self._taken[principal] >= self._person_concurrency:
            self._aside[principal][conversation] = None
            return False
        self._taken[principal] += 1
        return True

    def leave(self, principal: Principal) -> ConversationKey | None:
        """Give a turn of this person back; returns the conversation of theirs that stepped aside first."""
        self._taken[principal] -= 1
        if not self._taken[principal]:
            del self._taken[principal]
        aside = self._aside.get(principal)
        if not aside:
            return None
        conversation = next(iter(aside))
        del aside[conversation]
        if not aside:
            del self._aside[principal]
        return conversation
