"""Keeps what is shown while an answer is written within Slack's limits (https://docs.slack.dev/apis/web-api/rate-limits)."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

_MINUTE = 60.0  # seconds
_REMEMBERED_AT_MOST = 1_000  # workspaces and methods
# Calls a minute by one workspace's bot. Slack allows at least 20, 100 and 50; the rest is left to answers that end.
_PER_MINUTE = {"chat.startStream": 12, "chat.appendStream": 80, "chat.update": 25, "chat.postMessage": 12}


class CallBudget:
    """Counts the calls that an answer does not need. Lives as long as the process and remembers workspaces.

    Args:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._calls: OrderedDict[tuple[str | None, str], deque[float]] = OrderedDict()
        self._rests_until: dict[tuple[str | None, str], float] = {}

    def take(self, workspace: str | None, method: str) -> bool:
        """Count a call; return False if it should not be made now."""
        now, key = self._now(), (workspace, method)
        calls = self._calls.setdefault(key, deque())
        self._calls.move_to_end(key)
        if len(self._calls) > _REMEMBERED_AT_MOST:
            self._rests_until.pop(self._calls.popitem(last=False)[0], None)
        while calls and now - calls[0] >= _MINUTE:
            calls.popleft()
        if now < self._rests_until.get(key, 0.0) or len(calls) >= _PER_MINUTE[method]:
            return False
        calls.append(now)
        return True

    def rest(self, workspace: str | None, method: str, seconds: float) -> None:
        """Make no such call for a while, because Slack asked to wait."""
        self._rests_until[workspace, method] = self._now() + max(1.0, seconds)
