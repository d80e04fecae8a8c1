"""Log lines for operators that repeat with every request: each is written once a minute at most."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

REPEAT_SECONDS = 60.0
_KEYS_AT_MOST = 1_000


class LogOnce:
    """Writes a line for the same cause once a minute at most; lives as long as the process.

    It remembers causes only, so a cause must never contain anything of a person's. It is safe to share by threads.

    Args:
        log: Where the lines go.
        seconds: How long a cause stays silent after its line.
        now: A clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        seconds: float = REPEAT_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._seconds = seconds
        self._now = now
        self._silent_until: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def warning(self, cause: Hashable, message: str, *arguments: object) -> None:
        """Log a warning, unless one for this cause was logged within the last minute."""
        self._write(logging.WARNING, cause, message, arguments)

    def error(self, cause: Hashable, message: str, *arguments: object) -> None:
        """Log an error, unless one for this cause was logged within the last minute."""
        self._write(logging.ERROR, cause, message, arguments)

    def _write(self, level: int, cause: Hashable, message: str, arguments: tuple[object, ...]) -> None:
        now = self._now()
        with self._lock:
            if self._silent_until.get(cause, now) > now:
                return
            if len(self._silent_until) >= _KEYS_AT_MOST:
                self._silent_until.clear()
            self._silent_until[cause] = now + self._seconds
        self._log.log(level, message, *arguments)
