"""Waits of the event loop that end when a test says so, and not when their time has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

import pytest


class LeapingClock:
    """The clock of the running event loop, which a test can advance; timers expire by this clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._ahead, time = 0.0, loop.time
        patch.setattr(loop, "time", lambda: time() + self._ahead)

    def leap(self, seconds: float) -> None:
        """Advance the clock."""
        self._ahead += seconds


_LIMIT: ContextVar[asyncio.Timeout] = ContextVar("limit")


class _Limits(ModuleType):
    """The module asyncio, whose `timeout` can be ended from within."""

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)

    @staticmethod
    def timeout(delay: float | None) -> asyncio.Timeout:
        """Return the time limit, and remember it for the code that runs in it."""
        limit = asyncio.timeout(delay)
        _LIMIT.set(limit)
        return limit


@contextmanager
def limits_of(module: ModuleType) -> Iterator[None]:
    """Let `end_limit` end the blocks of a module's `asyncio.timeout`, from anything that runs in one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "asyncio", _Limits("asyncio"))
        yield


def end_limit() -> None:
    """End the time limit under which the caller runs, as if its time had passed."""
    _LIMIT.get().reschedule(asyncio.get_running_loop().time())
