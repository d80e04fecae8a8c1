"""Count the things that one message has organised: beyond a few, the person is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_ORGANISED = 10  # things that a message may change without approval, over all tools


class Organised:
    """Counts what one message organises, over all toolkits, agents and runs. Lives for one run.

    Attributes:
        count: The things that were organised so far, those of earlier runs of the message included.
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def take(self, things: int) -> bool:
        """Count some things and return True, or return False when they would be more than `MAX_ORGANISED`."""
        if self.count + things > MAX_ORGANISED:
            return False
        self.count += things
        return True


def things_in(arguments: Mapping[str, Any]) -> int:
    """Return how many things a call changes: as many as its longest list has, and one without any list."""
    return max((len(each) for each in arguments.values() if isinstance(each, (list, tuple, set))), default=1)
