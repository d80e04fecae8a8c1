"""Runs foreign code so that nothing leaves the process: no socket, no file, no child process.

The code runs on an event loop in a separate thread. Python's audit hooks (PEP 578) see what it is about to do, and
refuse. They do not see what Python does not report, such as a C library's sockets.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from app.audit_events import CHANGES, WRITES

T = TypeVar("T")

_THREADS = 8  # of one dry run, for blocking calls
_REFUSED = (*CHANGES, "socket.connect", "socket.bind", "socket.send", "socket.get", "_thread.start_")

_install = threading.Lock()
_is_installed = False


class _Thread(threading.local):
    is_dry = False  # on the class, because the hook asks thousands of times a second in threads that never were


_thread = _Thread()


class DryRunError(PermissionError):
    """Code in a dry run was about to reach outside the process."""


async def run_dry(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine so that nothing can leave the process, and return its result.

    Args:
        work: Creates the coroutine, in the thread where it runs.
    """
    _install_hook()
    return await asyncio.to_thread(_run, work)


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dry-run", initializer=_enter)
    started = threading.Barrier(_THREADS)
    list(pool.map(lambda _: started.wait(), range(_THREADS)))  # start all threads now: later none can be started
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # uvloop's sockets are not reported
            runner.get_loop().set_default_executor(pool)
            _enter()
            try:
                return runner.run(work())
            finally:
                _thread.is_dry = False  # the thread returns to its pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _enter() -> None:
    _thread.is_dry = True


def _install_hook() -> None:
    global _is_installed
    with _install:
        if not _is_installed:
            sys.addaudithook(_hook)
            _is_installed = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _thread.is_dry and _is_refused(event, arguments):
        raise DryRunError(f"nothing leaves a dry run: {event} was refused")


def _is_refused(event: str, arguments: tuple[Any, ...]) -> bool:
    return event.startswith(_REFUSED) or (event == "open" and _is_write(*arguments))


def _is_write(path: object, mode: object, flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & WRITES) and path != os.devnull
