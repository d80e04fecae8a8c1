"""Waits for objects that are about to be freed."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


async def fading(references: Iterable[weakref.ref[Any]], seconds: float = 30.0) -> None:
    """Return once all of these objects are freed, or when the time is up.

    A thread that has just returned its result holds its arguments until it runs again, which may be soon or late; so
    may a task that is ending.
    """
    watched = [*references]
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while any(reference() is not None for reference in watched):
                await asyncio.sleep(0.005)
