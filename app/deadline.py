"""The moment at which the work on one message has to be over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock that only goes forward; all time-outs of a message are clipped to it. Lives for one request.

    Attributes:
        at: The moment, in seconds of `now`'s clock.
        now: The clock.
    """

    at: float
    now: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    @classmethod
    def after(cls, seconds: float, now: Callable[[], float] = time.monotonic) -> Deadline:
        """Return the deadline that is this many seconds away."""
        return cls(now() + seconds, now)

    def remaining(self) -> float:
        """Seconds left; 0.0 once the deadline has passed, never less."""
        return max(0.0, self.at - self.now())

    def clip(self, seconds: float) -> float:
        """Return this many seconds, or what is left if that is less."""
        return min(seconds, self.remaining())
