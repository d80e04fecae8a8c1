"""Rate limits (https://docs.slack.dev/apis/web-api/rate-limits)."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.sandbox.slack.places import SlackError

_MINUTE = 60.0  # seconds


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


@dataclass
class MethodLimits:
    """How often one workspace's bot may call some methods within a minute. Lives for the process.

    Attributes:
        per_minute: The limit by method: Slack's tiers 2, 3 and 4. Methods that are not named have no limit.
        now: A clock, in seconds.
        refused: By method, how many calls came too early.
    """

    per_minute: dict[str, int] = field(
        default_factory=lambda: {
            "chat.startStream": 20,
            "chat.stopStream": 20,
            "chat.update": 50,
            "chat.appendStream": 100,
            "files.completeUploadExternal": 100,
            "files.getUploadURLExternal": 100,
        }
    )
    now: Callable[[], float] = time.monotonic
    refused: Counter[str] = field(default_factory=Counter)
    _calls: defaultdict[tuple[str, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def take(self, method: str, workspace: str) -> None:
        """Count a call.

        Raises:
            SlackError: There were too many within the last minute; the error says how many seconds to wait.
        """
        limit = self.per_minute.get(method)
        if limit is None:
            return
        now, calls = self.now(), self._calls[method, workspace]
        while calls and now - calls[0] >= _MINUTE:
            calls.popleft()
        if len(calls) >= limit:
            self.refused[method] += 1
            rest = calls[0] + _MINUTE - now if calls else _MINUTE
            raise SlackError("ratelimited", retry_after=max(1, math.ceil(rest)))
        calls.append(now)
