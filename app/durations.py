"""Durations as people say them."""

from __future__ import annotations

_UNITS = ((86_400, "a day", "days"), (3_600, "an hour", "hours"), (60, "a minute", "minutes"))


def in_words(seconds: float) -> str:
    """Return a duration in its largest whole unit, such as ``an hour`` or ``5 minutes``; ``a few seconds`` if short."""
    for size, one, many in _UNITS:
        count = round(seconds / size)
        if seconds >= size * 0.95 or (size == 60 and count):
            return one if count == 1 else f"{count} {many}"
    return "a few seconds"
