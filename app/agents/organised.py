"""Count the things that one message has organised: beyond a few, the person is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart

MAX_ORGANISED = 10  # things that a message may change without approval, over all tools


class Organised:
    """Counts what one message organises, over all toolkits and all of its runs. Lives for one run.

    Args:
        before: How much earlier runs of the message have organised.
    """

    def __init__(self, before: int = 0) -> None:
        self._count = before

    def take(self, things: int) -> bool:
        """Count some things and return True, or return False when they would be more than `MAX_ORGANISED`."""
        if self._count + things > MAX_ORGANISED:
            return False
        self._count += things
        return True


def things_in(arguments: Mapping[str, Any]) -> int:
    """Return how many things a call changes: as many as its longest list has, and one without any list."""
    return max((len(each) for each in arguments.values() if isinstance(each, (list, tuple, set))), default=1)


def organised_in(turn: Sequence[ModelMessage], tools: frozenset[str], waiting: frozenset[str]) -> int:
    """Return how many things the calls of some tools have changed in a turn so far, at most.

    Args:
        turn: The messages of the turn so far.
        tools: The names of the tools that organise.
        waiting: The ids of calls that have not run yet.
    """
    calls = (
        part
        for message in turn
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart) and part.tool_name in tools and part.tool_call_id not in waiting
    )
    return sum(things_in(call.args_as_dict(raise_if_invalid=False)) for call in calls)
