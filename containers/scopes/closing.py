"""How a scope closes: its threads end, then its finalizers run, and nothing interrupts either."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Collection
from contextlib import nullcontext
from inspect import isawaitable
from typing import Any, NamedTuple

try:
    from anyio import CancelScope
except ImportError:  # then nobody can cancel by anyio either

    def CancelScope(*, shield: bool) -> nullcontext[None]:  # type: ignore[no-redef]  # noqa: N802
        """Shield from nothing."""
        return nullcontext()


_POLL = 0.001  # seconds

_STILL_BUILDING = "a scope closed while a thread was building one of its objects; it will be dead when it is made"

log = logging.getLogger(__name__)


class Finalizer(NamedTuple):
    """How to finish one scoped object when its scope closes.

    Attributes:
        name: The name of the object's provider.
        finish: Called with the error that ended the scope, if any; what it returns is awaited when it can be.
        is_async: Whether `finish` needs a running event loop.
    """

    name: str
    finish: Callable[[BaseException | None], object]
    is_async: bool


async def close(
    stop: Callable[[], bool],
    threads: Collection[asyncio.Future[Any]],
    finalizers: list[Finalizer],
    error: BaseException | None,
    grace: float,
) -> None:
    """Stop the scope, wait for its threads and run its finalizers, the last one first, each though another failed.

    The threads together, and each finalizer, are given `grace` seconds, and a finalizer that has begun meanwhile up to
    twice as many. It is cancelled then, and abandoned when it does not obey in the same time again.

    Args:
        stop: Tells whether nothing is being built in the scope any more, and keeps it from beginning again.
        threads: The threads that the scope started.
        finalizers: Is empty afterwards.
        error: The error that ended the scope, if any; finalizers see it, and it is the caller's to raise.
        grace: Seconds.

    Raises:
        asyncio.CancelledError: A cancellation arrived meanwhile, and `error` is not one already.
        Exception: An error of a finalizer, when `error` is None; an `ExceptionGroup` when several did.
        BaseException: A finalizer raised something that is not an `Exception`, such as `KeyboardInterrupt`; all others
            were tried first.
    """
    failures: list[BaseException] = []
    try:
        if isinstance(error, GeneratorExit):
            _finish_now(finalizers, error, failures)
            cancelled = False
        else:
            cancelled = await _stopped(stop, grace)
            cancelled |= await _wait_for_threads(threads, grace)
            cancelled |= await _run(finalizers, error, grace, failures)
        _tell(failures, error, cancelled)
    finally:
        failures.clear()  # an error holds its frames, and this one would hold the error


def close_now(stop: Callable[[], bool], finalizers: list[Finalizer], error: BaseException | None, grace: float) -> None:
    """Stop a scope in which nothing is asynchronous, and run its finalizers as `close` does.

    Args, Raises: As `close`.
    """
    failures: list[BaseException] = []
    deadline = time.monotonic() + grace
    try:
        while not stop():
            time.sleep(_POLL)
            if time.monotonic() > deadline:
                log.error(_STILL_BUILDING)
                break
        _finish_now(finalizers, error, failures)
        _tell(failures, error, cancelled=False)
    finally:
        failures.clear()


def _tell(failures: list[BaseException], error: BaseException | None, cancelled: bool) -> None:
    """Raise the error that matters most after the finalizers, and log the others."""
    exits = [failure for failure in failures if not isinstance(failure, Exception)]
    errors = [failure for failure in failures if isinstance(failure, Exception)]
    try:
        if exits or cancelled or error is not None:
            for failure in errors:
                log.error("a finalizer failed: %s: %s", type(failure).__name__, "; ".join(failure.__notes__))
        if exits:
            raise exits[0]
        if cancelled and not isinstance(error, asyncio.CancelledError):
            raise asyncio.CancelledError
        if len(errors) == 1 and error is None:
            raise errors[0]
        if errors and error is None:
            raise ExceptionGroup("finalizers failed as their scope closed", errors)
    finally:
        exits.clear()
        errors.clear()


async def _stopped(stop: Callable[[], bool], grace: float) -> bool:
    cancelled = False
    deadline = asyncio.get_running_loop().time() + grace
    while not stop():
        cancelled |= await _settle((), _POLL)
        if asyncio.get_running_loop().time() > deadline:
            log.error(_STILL_BUILDING)
            break
    return cancelled


async def _wait_for_threads(threads: Collection[asyncio.Future[Any]], grace: float) -> bool:
    threads = tuple(threads)  # the scope's own collection shrinks as they end
    cancelled = bool(threads) and await _settle(threads, grace)
    if running := sum(not thread.done() for thread in threads):
        log.error("a scope closed while %d of its threads ran on; they can no longer use its objects", running)
    return cancelled


async def _run(
    finalizers: list[Finalizer], error: BaseException | None, grace: float, failures: list[BaseException]
) -> bool:
    """Run all; true if a cancellation arrived meanwhile."""
    if not any(finalizer.is_async for finalizer in finalizers):
        await _work(finalizers, error, failures)  # waits for nothing
        return False
    cancelled = False
    while finalizers:
        # Another task: the scope's own may be cancelled again and again.
        worker = asyncio.create_task(_work(finalizers, error, failures))
        cancelled |= await _watch(worker, finalizers, grace)
        if worker.done():
            worker.result()
        else:
            failures.append(_named(TimeoutError("it did not end though it was cancelled: abandoned"), "a finalizer"))
            finalizers[:], finalizers = [], finalizers.copy()  # the worker that hangs finds no more work
    return cancelled


async def _watch(worker: asyncio.Task[None], finalizers: list[Finalizer], grace: float) -> bool:
    """Return when the worker is done or beyond help; true if a cancellation arrived meanwhile."""
    cancelled = is_told = False
    remaining = len(finalizers) - 1  # it begins with one
    try:
        await asyncio.sleep(0)  # most are done after this step, and a wait with a time-out costs six times as much
    except asyncio.CancelledError:
        cancelled = True
    while not worker.done():
        cancelled |= await _settle({worker}, grace)
        if worker.done():
            break
        if len(finalizers) < remaining:  # it is at another one by now
            remaining, is_told = len(finalizers), False
        elif is_told:
            break
        else:
            worker.cancel()
            is_told = True
    return cancelled


async def _work(finalizers: list[Finalizer], error: BaseException | None, failures: list[BaseException]) -> None:
    while finalizers:
        name, finish, _ = finalizers.pop()
        waits = False
        try:
            outcome = finish(error)
            if waits := isawaitable(outcome):
                await outcome
        except asyncio.CancelledError:
            if (worker := asyncio.current_task()) is not None and worker.cancelling():
                worker.uncancel()
                failures.append(_named(TimeoutError("it took longer than its scope can wait"), name))
            else:
                failures.append(_named(RuntimeError("it was cancelled from within"), name))
        except BaseException as failure:  # the others are tried all the same; close() raises or logs it
            if waits and isinstance(failure, GeneratorExit):
                raise  # the worker itself is thrown away, with its event loop
            failures.append(_named(failure, name))


def _finish_now(finalizers: list[Finalizer], error: BaseException | None, failures: list[BaseException]) -> None:
    """Finish what can be where nothing can be awaited, such as when the scope's coroutine was thrown away."""
    while finalizers:
        name, finish, is_async = finalizers.pop()
        if is_async:
            warnings.warn(f"{name} was not finished: its scope was thrown away", ResourceWarning, stacklevel=2)
            continue
        try:
            finish(error)
        except BaseException as failure:  # the others are tried all the same; close() raises or logs it
            failures.append(_named(failure, name))


def _named(failure: BaseException, name: str) -> BaseException:
    failure.add_note(f"while {name} was finished, as its scope closed")
    return failure


async def _settle(futures: Collection[asyncio.Future[Any]], seconds: float) -> bool:
    """Return when all are done or the time has passed; true if a cancellation arrived, which is not obeyed here."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    cancelled = False
    with CancelScope(shield=True):  # anyio would cancel again at every await
        while (left := deadline - loop.time()) > 0 and not (futures and all(future.done() for future in futures)):
            try:
                await (asyncio.wait(futures, timeout=left) if futures else asyncio.sleep(left))
            except asyncio.CancelledError:
                cancelled = True
    return cancelled
