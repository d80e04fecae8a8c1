"""Threads for what blocks: a few at a time for each scope, and enough for all scopes that work at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from .tombstone import ScopeError

T = TypeVar("T")

THREADS_OF_A_SCOPE = 4  # at once
_THREADS_OF_NOBODY = 8  # for short calls outside every scope, such as looking up a name


def open_threads(scopes: int) -> ThreadPoolExecutor:
    """Return a pool in which no scope waits for the threads of another, as long as at most this many are open."""
    return ThreadPoolExecutor(scopes * THREADS_OF_A_SCOPE + _THREADS_OF_NOBODY, thread_name_prefix="scope")


class Threads:
    """The threads of one scope, in the event loop's pool. Lives as long as the scope.

    Attributes:
        running: Those that have not ended.
    """

    __slots__ = ("_room", "running")

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(THREADS_OF_A_SCOPE)
        self.running: set[asyncio.Future[Any]] = set()

    async def run(self, call: Callable[[], T], check: Callable[[], None]) -> T:
        """Return what the call returns, once there is room for its thread.

        It runs on when the caller is cancelled, and holds its room until it ends; one that has not begun never does.

        Args:
            call: The blocking call.
            check: Raises if no thread may be started any more.
        """
        context = copy_context()
        is_wanted = True

        def wanted() -> T:
            if not is_wanted:
                raise ScopeError("not begun, because its caller was cancelled")
            return context.run(call)

        await self._room.acquire()
        try:
            check()
            thread = asyncio.get_running_loop().run_in_executor(None, wanted)
        except BaseException:
            self._room.release()
            raise
        self.running.add(thread)
        thread.add_done_callback(self._ended)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            is_wanted = False
            raise
        finally:
            del thread  # it holds the error, which holds this frame

    def _ended(self, thread: asyncio.Future[Any]) -> None:
        self.running.discard(thread)
        self._room.release()
        if not thread.cancelled():
            thread.exception()  # else asyncio logs it, text and all, when its caller was cancelled and waits no more
