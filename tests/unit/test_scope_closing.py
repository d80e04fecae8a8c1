"""The closing of a scope: first its threads end, then finalizers run in reverse, and nothing stops either."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import anyio
import pytest

from containers.scopes import Scope, Scoped, ScopeError, Seed
from tests.fakes.core_server import until
from tests.unit.scope_graph import ADA, BOB, Container, Credentials, Person


class Note:
    """Writes into a list when it is closed, after a pause."""

    def __init__(self, log: list[str], name: str, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.log = log
        self.name = name
        self.seconds = seconds
        self.error = error

    async def aclose(self) -> None:
        await asyncio.sleep(self.seconds)
        self.log.append(self.name)
        if self.error is not None:
            raise self.error


async def use(
    *asked: Scoped[Any], seeds: Sequence[object] = (), grace: float = 10.0, error: Exception | None = None
) -> None:
    """Open a scope, get all of these from it, and raise the error if there is one."""
    async with Scope(*seeds, grace=grace) as scope:
        for provider in asked:
            scope.get(provider)
        if error is not None:
            raise error


async def test_finalizers_reverse_order() -> None:
    """Each person's objects are finished in the reverse order of their making."""
    container = Container()
    async with Scope(ADA) as scope, Scope(BOB) as other:
        assert scope.get(container.transaction) == "transaction of ada"
        other.get(container.client)

    assert container.database().log == [
        "begin ada",
        "close client of bob",
        "commit ada",
        "close client of ada",
    ]


class Shred:
    """Notes in a list, as its scope ends, whose it is and in which task it ends."""

    def __init__(self, person: Person, log: list[object], error: Exception | None = None) -> None:
        self.name = person.name
        self.log = log
        self.error = error

    def at_scope_end(self) -> None:
        self.log.append((self.name, asyncio.current_task()))
        if self.error is not None:
            raise self.error


async def test_an_end_without_waiting_needs_no_task() -> None:
    """`at_scope_end` runs once for each person's object, in the scope's own task, before the object dies."""
    log: list[object] = []
    shred = Scoped(Shred, Seed(Person), log)
    async with Scope(ADA) as scope, Scope(BOB) as other:
        paper, theirs = scope.get(shred), other.get(shred)
    with Scope(ADA) as plain:
        plain.get(shred)

    assert log == [(name, asyncio.current_task()) for name in ("bob", "ada", "ada")]
    for dead in (paper, theirs):
        with pytest.raises(ScopeError):
            dead.at_scope_end()


async def test_an_end_without_waiting_that_fails_does_not_stop_the_others() -> None:
    """An error of `at_scope_end` is raised after all other finalizers, those that wait included."""
    log: list[Any] = []
    shred = Scoped(Shred, Seed(Person), log, ValueError("no shredder"))
    with pytest.raises(ValueError, match="no shredder"):
        await use(Scoped(Note, log, "note"), shred, seeds=[BOB])

    assert (log[0][0], log[1]) == ("bob", "note")


async def test_finalizers_see_the_error() -> None:
    """A generator sees the error of the body and cannot swallow it."""
    container = Container()
    log: list[str] = []

    def swallows() -> Generator[None, None, None]:
        try:
            yield
        except LookupError:
            log.append("swallowed")

    with pytest.raises(LookupError):
        await use(container.transaction, Scoped(swallows), seeds=[ADA], error=LookupError())

    assert log == ["swallowed"]
    assert container.database().log == ["begin ada", "roll back ada: LookupError", "close client of ada"]


async def test_finalizers_that_fail_do_not_stop_the_others() -> None:
    """Every finalizer is tried; a single error is raised as it is, and several as a group."""
    log: list[str] = []
    notes = [
        Scoped(Note, log, "first"),
        Scoped(Note, log, "second", error=ValueError("second")),
        Scoped(Note, log, "third"),
        Scoped(Note, log, "fourth", error=ValueError("fourth")),
    ]
    with pytest.raises(ValueError, match="second"):
        await use(*notes[:3])
    with pytest.raises(ExceptionGroup) as group:
        await use(*notes)

    assert log == ["third", "second", "first", "fourth", "third", "second", "first"]
    assert [str(error) for error in group.value.exceptions] == ["fourth", "second"]


@pytest.mark.parametrize("exit_", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("waits", [True, False])
async def test_finalizers_that_end_the_process_do_not_stop_the_others(exit_: type[BaseException], waits: bool) -> None:
    """An error that is not an Exception is raised after all finalizers were tried, even if the body raised too."""
    log: list[str] = []

    def leaves() -> Generator[None, None, None]:
        try:
            yield
        finally:
            raise exit_

    for error in (None, LookupError()):
        asked: list[Scoped[Any]] = [Scoped(Note, log, "first") if waits else Scoped(_noted, log), Scoped(leaves)]
        with pytest.raises(exit_):
            await use(*asked, Scoped(Note, log, "last") if waits else Scoped(_noted, log), error=error)

    assert len(log) == 4


def _noted(log: list[str]) -> Generator[None, None, None]:
    try:
        yield
    finally:
        log.append("noted")


async def test_the_error_of_the_body_comes_first(caplog: pytest.LogCaptureFixture) -> None:
    """If the body raised, its error is raised, and a finalizer's is logged without its text."""
    failing = Scoped(Note, [], "note", error=ValueError("a secret"))
    with pytest.raises(LookupError), caplog.at_level(logging.ERROR):
        await use(failing, error=LookupError())

    assert "ValueError" in caplog.text
    assert "Scoped(Note)" in caplog.text
    assert "secret" not in caplog.text


async def cancelled_once(body: Callable[[], asyncio.Task[None]]) -> None:
    """Cancel the body while it works."""
    task = body()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_again_and_again(body: Callable[[], asyncio.Task[None]]) -> None:
    """Cancel the body, and then its scope twice while it closes."""
    task = body()
    for _ in range(3):
        await asyncio.sleep(0.008)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out(body: Callable[[], asyncio.Task[None]]) -> None:
    """Give the body too little time."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await body()


@pytest.mark.parametrize("interrupt", [cancelled_once, cancelled_again_and_again, timed_out])
async def test_finalizers_run_under_cancellation(
    interrupt: Callable[[Callable[[], asyncio.Task[None]]], Awaitable[None]],
) -> None:
    """The finalizers run to their end although the body is cancelled, cancelled again or timed out."""
    log: list[str] = []

    async def body() -> None:
        async with Scope() as scope:
            for name in ("first", "second"):
                scope.get(Scoped(Note, log, name, seconds=0.02))
            await asyncio.sleep(5)

    await interrupt(lambda: asyncio.create_task(body()))

    assert log == ["second", "first"]


async def test_finalizers_run_under_an_anyio_cancel_scope() -> None:
    """An anyio cancel scope, which cancels at every await, ends the block only after the finalizers have run."""
    log: list[str] = []
    after = False
    with anyio.move_on_after(0.01) as moved:
        async with Scope() as scope:
            for name in ("first", "second"):
                scope.get(Scoped(Note, log, name, seconds=0.02))
            await asyncio.sleep(5)
        after = True

    assert log == ["second", "first"]
    assert moved.cancelled_caught
    assert not after


async def test_an_anyio_cancel_scope_does_not_keep_the_processor_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the finalizers run, anyio's repeated cancellation does not keep the event loop busy."""
    loop, turns = asyncio.get_running_loop(), itertools.count()
    turn = loop._run_once  # type: ignore[attr-defined]
    monkeypatch.setattr(loop, "_run_once", lambda: (next(turns), turn()))
    with anyio.move_on_after(0.01):
        async with Scope() as scope:
            scope.get(Scoped(Note, [], "note", seconds=0.3))
            await asyncio.sleep(5)

    assert next(turns) < 100  # some thousands if the loop were busy


async def test_a_cancellation_while_closing_is_obeyed_afterwards() -> None:
    """If a finished body is cancelled while its scope closes, the finalizers end before the task does."""
    log: list[str] = []

    async def body() -> None:
        async with Scope() as scope:
            scope.get(Scoped(Note, log, "note", seconds=0.03))
        log.append("went on")

    await cancelled_once(lambda: asyncio.create_task(body()))

    assert log == ["note"]


async def test_a_cancellation_as_closing_begins_is_obeyed_afterwards() -> None:
    """If a body is cancelled in its last step, a finalizer that does not wait ends before the task does."""
    log: list[str] = []

    async def body() -> None:
        async with Scope() as scope:
            scope.get(Scoped(Note, log, "note"))
            task.cancel()
        log.append("went on")

    task = asyncio.create_task(body())
    with pytest.raises(asyncio.CancelledError):
        await task

    assert log == ["note"]


async def test_a_hung_finalizer_is_bounded() -> None:
    """A finalizer that hangs is cancelled after the grace period, the others still run, and the time-out is raised."""
    log: list[str] = []
    with pytest.raises(TimeoutError):
        await use(Scoped(Note, log, "first"), Scoped(Note, log, "hangs", seconds=100), grace=0.02)

    assert log == ["first"]


async def test_a_finalizer_that_ignores_its_cancellation_is_abandoned() -> None:
    """A finalizer that ignores its cancellation is abandoned, and the others still run."""
    log: list[str] = []
    end = asyncio.Event()

    class Stubborn:
        async def aclose(self) -> None:
            while not end.is_set():
                try:
                    await end.wait()
                except asyncio.CancelledError:
                    log.append("ignored")

    with pytest.raises(TimeoutError, match="abandoned"):
        await use(Scoped(Note, log, "first"), Scoped(Stubborn), grace=0.02)
    end.set()
    await asyncio.sleep(0)

    assert log == ["ignored", "first"]


async def test_threads_waited_for() -> None:
    """A thread whose caller was cancelled can use its objects until it ends, and they die only then."""
    container = Container()
    release, begun, seen = threading.Event(), list[str](), list[str]()

    def work(credentials: Credentials) -> None:
        begun.append(credentials.person.name)
        release.wait(60)
        seen.append(credentials.token)

    async def body(person: Person) -> None:
        async with Scope(person, grace=60) as scope:
            await scope.to_thread(work, scope.get(container.credentials))

    tasks = [asyncio.create_task(body(person)) for person in (ADA, BOB)]
    await until(lambda: len(begun) == 2)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in tasks)
    release.set()
    async with asyncio.timeout(30):  # it waits for the threads, not for the whole grace period
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert sorted(seen) == ["token of ada", "token of bob"]
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2


async def test_threads_waited_for_only_so_long(caplog: pytest.LogCaptureFixture) -> None:
    """After the grace period the objects of a running thread die, its next use of one fails, and that is logged."""
    container = Container()
    release, begun, seen = threading.Event(), threading.Event(), list[str]()

    def work(credentials: Credentials) -> None:
        begun.set()
        release.wait(60)
        seen.append(credentials.token)

    async with Scope(ADA, grace=0.02) as scope:
        late = asyncio.create_task(scope.to_thread(work, scope.get(container.credentials)))
        await until(begun.is_set)
    release.set()

    with pytest.raises(ScopeError, match="Credentials"):
        await late
    assert seen == []
    assert "1 of its threads ran on" in caplog.text


async def test_threads_are_not_begun_for_a_caller_that_is_gone() -> None:
    """A call that waits for a free thread is dropped when its caller is cancelled."""
    release, begun = threading.Event(), list[int]()
    pool = asyncio.get_running_loop()
    blocked = [pool.run_in_executor(None, release.wait, 60) for _ in range(64)]
    async with asyncio.timeout(30), Scope() as scope:
        caller = asyncio.create_task(scope.to_thread(begun.append, 1))
        await asyncio.sleep(0.01)
        caller.cancel()
        await asyncio.sleep(0)
        release.set()
    await asyncio.gather(*blocked)

    assert begun == []
    assert caller.cancelled()


async def test_threads_return_and_raise_what_the_function_does() -> None:
    """`to_thread` passes arguments on and returns the function's result or raises its error."""

    def work(person: Person, *, fails: bool) -> str:
        if fails:
            raise LookupError(person.name)
        return person.name

    async with Scope(ADA) as scope:
        assert await scope.to_thread(work, ADA, fails=False) == "ada"
        with pytest.raises(LookupError, match="bob"):
            await scope.to_thread(work, BOB, fails=True)


async def test_a_scope_closes_after_the_thread_that_is_building() -> None:
    """An object that a raw thread is making while the scope closes is dead when the scope has closed."""
    begun, release = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, person: Person) -> None:
            begun.set()
            release.wait(60)
            self.person = person

    slow = Scoped(Slow, Seed(Person))
    async with Scope(ADA) as scope:
        building = asyncio.create_task(asyncio.to_thread(scope.get, slow))
        await asyncio.to_thread(begun.wait, 60)
        asyncio.get_running_loop().call_later(0.01, release.set)
    obj = await building

    with pytest.raises(ScopeError):
        _ = obj.person


async def test_a_scope_does_not_wait_for_ever_for_a_thread_that_is_building(caplog: pytest.LogCaptureFixture) -> None:
    """After the grace period a scope closes although a thread is building, and its object is dead once made."""
    begun, release = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, person: Person) -> None:
            begun.set()
            release.wait(60)
            self.person = person

    slow = Scoped(Slow, Seed(Person))
    async with Scope(ADA, grace=0.02) as scope:
        building = asyncio.create_task(asyncio.to_thread(scope.get, slow))
        await asyncio.to_thread(begun.wait, 60)
    release.set()
    obj = await building

    with pytest.raises(ScopeError):
        _ = obj.person
    with pytest.raises(ScopeError):
        scope.get(slow)
    assert "was building" in caplog.text
