"""How often a bot may send (https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.sandbox.telegram.refusal import TelegramRefusedError


@dataclass
class SendLimits:
    """Limits for all that a bot sends. Lives for the process.

    Attributes:
        chat_seconds: The minimum time between two messages in one chat.
        group_per_minute: The maximum number of messages in one group within a minute; edits count.
        per_second: The maximum number of messages within a second.
        now: A clock, in seconds.
        refused: How many messages came too early.
    """

    chat_seconds: float = 1.0
    group_per_minute: int = 20
    per_second: int = 30
    now: Callable[[], float] = time.monotonic
    refused: int = 0
    _sent: defaultdict[int | None, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def take(self, chat_id: int) -> None:
        """Count a message.

        Raises:
            TelegramRefusedError: It comes too early, with the code 429 and the seconds to wait.
        """
        now = self.now()
        waits = [self._wait(chat_id, 1, self.chat_seconds, now), self._wait(None, self.per_second, 1.0, now)]
        if chat_id < 0:
            waits.append(self._wait(chat_id, self.group_per_minute, 60.0, now))
        if (wait := max(waits)) > 0:
            self.refused += 1
            seconds = max(1, math.ceil(wait))
            raise TelegramRefusedError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
        for key in (chat_id, None):
            self._sent[key].append(now)

    def _wait(self, key: int | None, count: int, seconds: float, now: float) -> float:
        """Return how long to wait before less than `count` messages were sent within these seconds."""
        sent = self._sent[key]
        while sent and now - sent[0] >= 60.0:
            sent.popleft()
        recent = [at for at in sent if now - at < seconds]
        return recent[-count] + seconds - now if len(recent) >= count else 0.0
