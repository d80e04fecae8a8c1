"""Measures how the cost of work grows with the length of a text."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORT, LONG = 1_000, 50_000  # characters
_SLACK = 8  # allowed factor beyond the fiftyfold of proportional work; quadratic work would take 2,500-fold
_LEAST_SECONDS = 0.0005  # shorter times are too imprecise
_TRIES = 5


def grows_faster(
    work: Callable[[str], object],
    text: Callable[[int], str],
    long: int = LONG,
    clock: Callable[[], float] = time.thread_time,
) -> bool:
    """Return whether `work` takes much more than in proportion to the length of its text.

    It compares this thread's processor time for a short and for a long text, so the speed of the machine cancels out.
    A disturbance only lengthens a measurement, so the result is True only if every one of several tries is too long.

    Args:
        work: The work to measure.
        text: Makes a text of about a given number of characters.
        long: The length that is compared with `SHORT`.
        clock: Returns this thread's processor time in seconds.
    """

    def seconds(text: str) -> float:
        started = clock()
        work(text)
        return max(clock() - started, _LEAST_SECONDS)

    short_text, long_text = text(SHORT), text(long)
    most = _SLACK * len(long_text) / len(short_text) * min(seconds(short_text) for _ in range(3))
    return all(seconds(long_text) > most for _ in range(_TRIES))


def repeated(piece: str) -> Callable[[int], str]:
    """Return a function that makes a text of a given length out of this piece."""
    return lambda length: (piece * (length // len(piece) + 1))[:length]
