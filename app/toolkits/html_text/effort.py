"""A bound on what one conversion may cost, so that no mail can keep a thread busy."""

from __future__ import annotations

import time

MAX_STEPS = 2_000_000  # comparisons of a selector with an element; a large newsletter takes about 50 000
MAX_SECONDS = 10.0  # wall clock, on a machine that is busy with other things
_LOOKS_AT_THE_CLOCK = 4096  # once every so many steps


class TooComplexError(Exception):
    """The conversion has used up its effort; what was converted until then can be shown."""


class Effort:
    """Counts the steps of one conversion. Lives for the conversion."""

    def __init__(self, steps: int = MAX_STEPS, seconds: float = MAX_SECONDS) -> None:
        self._left = steps
        self._until_the_clock = _LOOKS_AT_THE_CLOCK
        self._end = time.monotonic() + seconds

    def spend(self, steps: int) -> None:
        """Count some steps.

        Raises:
            TooComplexError: No steps are left, or the time is up.
        """
        self._left -= steps
        self._until_the_clock -= steps
        if self._left < 0:
            raise TooComplexError
        if self._until_the_clock < 0:
            self._until_the_clock = _LOOKS_AT_THE_CLOCK
            if time.monotonic() > self._end:
                raise TooComplexError
