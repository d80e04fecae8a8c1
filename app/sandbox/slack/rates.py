"""Rate limits for reading conversations (https://docs.slack.dev/apis/web-api/rate-limits)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.sandbox.slack.places import SlackError


@dataclass
class ReadLimits:
    """The limits of ``conversations.history`` and ``conversations.replies``. Lives for the process.

    The defaults have applied to apps that are distributed outside the Marketplace since May 2025.

    Attributes:
        page: The maximum number of messages in an answer, even if more are requested.
        seconds: The minimum time between two calls of one method by one workspace's bot.
        now: A clock, in seconds.
        refused: How many calls came too early.
    """

    page: int = 15
    seconds: float = 60.0
    now: Callable[[], float] = time.monotonic
    refused: int = 0
    _allowed_at: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, method: str, workspace: str) -> None:
        """Count a call.

        Raises:
            SlackError: The call comes too early; the error says how many seconds to wait.
        """
        now, allowed_at = self.now(), self._allowed_at.get((method, workspace), 0.0)
        if now < allowed_at:
            self.refused += 1
            raise SlackError("ratelimited", retry_after=max(1, math.ceil(allowed_at - now)))
        self._allowed_at[method, workspace] = now + self.seconds
