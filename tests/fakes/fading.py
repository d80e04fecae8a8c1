"""Objects that have to be freed without the cyclic collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Belonging:
    """Stands for what a run holds, such as a person's credentials."""


@contextmanager
def without_the_collector() -> Iterator[None]:
    """Disable the cyclic collector, so that only objects without any reference are freed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
