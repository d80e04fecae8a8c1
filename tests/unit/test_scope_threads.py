"""The threads of a scope: a few of its own, regardless of other scopes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.main import running
from containers.build import build
from containers.scopes import THREADS_OF_A_SCOPE, Scope, Scoped, ScopeError, Seed, open_threads
from containers.testing import settings_in
from tests.fakes.core_server import until
from tests.unit.scope_graph import ADA, BOB


async def test_no_starving_while_another_scopes_calls_block() -> None:
    """When one person's calls hold all the threads that they may use, another person's calls still run."""
    asyncio.get_running_loop().set_default_executor(open_threads(5))
    release, held = threading.Event(), list[str]()

    def hold() -> None:
        held.append("ada")
        release.wait(60)

    async with AsyncExitStack() as stack:
        stack.callback(release.set)
        scopes = [await stack.enter_async_context(Scope(ADA)) for _ in range(4)]
        calls = [asyncio.create_task(scope.to_thread(hold)) for scope in scopes for _ in range(20)]
        other = await stack.enter_async_context(Scope(BOB))
        async with asyncio.timeout(30):
            while len(held) < 4 * THREADS_OF_A_SCOPE:
                await asyncio.sleep(0.01)
            answers = await asyncio.gather(*(other.to_thread(str, number) for number in range(20)))
        before = len(held)
        release.set()
        await asyncio.gather(*calls)

    assert answers == [str(number) for number in range(20)]
    assert (before, len(held)) == (4 * THREADS_OF_A_SCOPE, 80)


async def test_a_cancelled_call_holds_its_thread_and_one_that_waits_never_begins() -> None:
    """A cancelled call keeps its thread until the thread ends, and a cancelled call that waits never begins."""
    release, held, begun = threading.Event(), list[str](), list[int]()

    def hold() -> None:
        held.append("ada")
        release.wait(60)

    async with asyncio.timeout(30), Scope(ADA, grace=60) as scope:
        holding = [asyncio.create_task(scope.to_thread(hold)) for _ in range(THREADS_OF_A_SCOPE)]
        await until(lambda: len(held) == THREADS_OF_A_SCOPE)
        waiting = [asyncio.create_task(scope.to_thread(begun.append, number)) for number in range(2)]
        for call in (*holding, waiting[0]):
            call.cancel()
        await asyncio.sleep(0.05)
        before = list(begun)
        release.set()
        await waiting[1]

    assert before == []
    assert begun == [1]


async def test_a_call_that_waits_for_room_is_not_begun_when_the_scope_has_closed() -> None:
    """A call that still waits for a thread when its scope has closed gets an error and never begins."""
    release, held, begun = threading.Event(), list[str](), list[int]()

    def hold() -> None:
        held.append("ada")
        release.wait(60)

    async with Scope(ADA, grace=0.02) as scope:
        holding = [asyncio.create_task(scope.to_thread(hold)) for _ in range(THREADS_OF_A_SCOPE)]
        waiting = asyncio.create_task(scope.to_thread(begun.append, 1))
        await until(lambda: len(held) == THREADS_OF_A_SCOPE)
    release.set()
    await asyncio.gather(*holding)

    with pytest.raises(ScopeError, match="it starts no thread"):
        await waiting
    assert begun == []


async def test_a_constructor_that_waits_for_the_loop_ends_in_an_error() -> None:
    """If a constructor in a thread waits for the loop, which asks the same scope, the loop's error names both."""
    loop, begun, refused = asyncio.get_running_loop(), threading.Event(), asyncio.Event()

    async def asked() -> str:
        await refused.wait()
        return "the loop's answer"

    class Waits:
        def __init__(self) -> None:
            begun.set()
            self.answer = asyncio.run_coroutine_threadsafe(asked(), loop).result(60)

    class Other: ...

    waits = Scoped(Waits)
    async with Scope(ADA, grace=0.2) as scope:
        building = asyncio.create_task(scope.to_thread(scope.get, waits))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        with pytest.raises(ScopeError, match=r"Scoped\(.*Other\) was asked for while .*Scoped\(.*Waits\) \(.*__init__"):
            scope.get(Scoped(Other))
        refused.set()
        assert (await building).answer == "the loop's answer"


async def test_a_constructor_that_waits_for_a_thread_ends_in_an_error() -> None:
    """If a constructor on the loop waits for a thread that asks the same scope, the thread gets an error."""

    class Other: ...

    class Waits:
        def __init__(self, scope: Scope) -> None:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(scope.get, Scoped(Other)).result(60)

    async with Scope(ADA, grace=0.2) as scope:
        with pytest.raises(ScopeError, match=r"Other\) was asked for while .*Waits\).*longer|more than 0.2 s"):
            scope.get(Scoped(Waits, Seed(Scope)))
        assert isinstance(scope.get(Scoped(Other)), Other)


async def test_a_server_has_threads_for_all_messages_in_work(tmp_path: Path) -> None:
    """A server has enough threads to run all calls of all messages in progress at the same time."""
    settings = settings_in(tmp_path)
    most = settings.delivery.concurrency * THREADS_OF_A_SCOPE
    together = threading.Barrier(most, timeout=60)
    async with running(build(settings), settings):
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, together.wait) for _ in range(most)))

    assert not together.broken
