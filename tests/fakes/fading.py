"""Objects that are about to be freed."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


async def fading(references: Iterable[weakref.ref[Any]], seconds: float = 30.0) -> None:
    """Return once nothing refers to these any more, or when the time is up.

    A thread that has just given its result holds what it was called with until it is let run again, which is soon or
    late; and so may a task that is ending.
    """
    watched = [*references]
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while any(reference() is not None for reference in watched):
                await asyncio.sleep(0.005)
