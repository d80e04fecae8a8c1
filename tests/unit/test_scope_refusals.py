"""A scope fails closed: it refuses what it cannot guarantee, and says what to do."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dependency_injector import providers

from containers.scopes import Scope, Scoped, ScopeError, Seed
from tests.unit.scope_graph import ADA, BOB, Container, Credentials, Database, Person


async def test_fail_closed_outside_a_scope() -> None:
    """Calling a scoped provider, or one that depends on it, raises an error that names it and what to write."""
    container = Container()
    calls: list[Any] = [container.credentials, container.person, providers.Factory(list, container.gmail)]
    for call in calls:
        with pytest.raises(ScopeError, match=r"\((Credentials|Person|Gmail)\).*async with Scope"):
            call()


async def test_fail_closed_before_and_after_the_body() -> None:
    """A scope gives objects and starts threads only while it is open, and cannot be entered again."""
    container = Container()
    scope = Scope(ADA)
    with pytest.raises(ScopeError, match="not entered yet"):
        scope.get(container.credentials)
    async with scope:
        scope.get(container.credentials)
    with pytest.raises(ScopeError, match=r"Scoped\(Credentials\).*closed"):
        scope.get(container.credentials)
    with pytest.raises(ScopeError, match="closed"):
        await scope.to_thread(str)
    with pytest.raises(ScopeError, match="make another one"):
        await scope.__aenter__()


async def test_fail_closed_without_a_seed() -> None:
    """A missing seed is named, and a seed of a subclass does not replace it."""

    class Robot(Person): ...

    container = Container()
    async with Scope() as scope, Scope(Robot("r2")) as other:
        for empty in (scope, other):
            with pytest.raises(ScopeError, match=r"without a Person: pass one to Scope\(\.\.\.\)"):
                empty.get(container.agent)


def test_fail_closed_with_two_seeds_of_one_type() -> None:
    """Two people in one scope are refused before anything is built."""
    with pytest.raises(ScopeError, match="two seeds of one type"):
        Scope(ADA, BOB)


async def test_fail_closed_on_arguments_at_the_call() -> None:
    """Arguments at a call are refused, because a scope has only one object of each provider."""
    container = Container()
    call = providers.Callable(lambda make: make(BOB), container.credentials.provider)
    with_arguments = providers.Callable(container.credentials, BOB)
    async with Scope(ADA) as scope:
        with pytest.raises(ScopeError, match=r"Scoped\(Credentials\).*declare them in the container"):
            scope.get(with_arguments)
        with pytest.raises(ScopeError, match=r"Scoped\(Credentials\)"):
            scope.get(call)


async def coroutine() -> None:
    """Stand for a function that has to be awaited."""


async def async_generator() -> AsyncIterator[None]:
    """Stand for an asynchronous context."""
    yield


class AsyncCall:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("provides", [coroutine, async_generator, AsyncCall()])
def test_fail_closed_on_an_async_provider(provides: Any) -> None:
    """An asynchronous function is refused when the container is written, not when a request arrives."""
    with pytest.raises(ScopeError, match=r"Scoped\(.*await it before the scope opens"):
        Scoped(provides)


@pytest.mark.parametrize("kind", [providers.Singleton, providers.ThreadSafeSingleton, providers.Factory])
async def test_fail_closed_on_an_async_dependency(kind: type[Any]) -> None:
    """A dependency that gives a future is named instead of being injected as a future."""
    dependency = kind(coroutine)
    async with Scope(ADA) as scope:
        asked: list[Any] = [Scoped(list, dependency), Scoped(list, providers.List(dependency)), dependency]
        for provider in asked:
            with pytest.raises(ScopeError, match=r"\(coroutine\) gives .*await it before"):
                scope.get(provider)
    await asyncio.gather(*([dependency()] if kind is not providers.Factory else []))


async def test_fail_closed_on_a_function_that_returns_an_awaitable() -> None:
    """A plain function that returns a coroutine is refused when it does so."""
    async with Scope() as scope:
        with pytest.raises(ScopeError, match="coroutine"):
            scope.get(Scoped(lambda make: make(), providers.Object(coroutine)))


async def test_fail_closed_on_a_captive_dependency() -> None:
    """A singleton that would hold one person's object is refused, in a compiled plan and without one."""
    container = Container()
    cache: Any = providers.Singleton(list, providers.List(container.credentials))
    captives: list[Any] = [cache, Scoped(list, cache), Scoped(list, cache, container.credentials.provided.token)]
    for provider in captives:
        async with Scope(ADA) as scope:
            with pytest.raises(ScopeError, match="a singleton cannot depend on it"):
                scope.get(provider)


async def test_fail_closed_on_a_cycle() -> None:
    """Providers that need each other are named in their order."""
    first: Scoped[Any] = Scoped(list)
    second: Scoped[Any] = Scoped(dict)
    first.add_args(second)
    second.add_kwargs(first=first)
    async with Scope() as scope:
        with pytest.raises(ScopeError, match=r"Scoped\(list\) -> Scoped\(dict\) -> Scoped\(list\)"):
            scope.get(first)


@pytest.mark.parametrize("compiled", [True, False])
async def test_fail_closed_on_a_constructor_that_asks_the_scope(compiled: bool) -> None:
    """A constructor cannot ask its scope for more objects, but a method can."""
    container = Container()

    class Fetches:
        def __init__(self, scope: Scope, now: bool) -> None:
            self.scope = scope
            if now:
                self.credentials()

        def credentials(self) -> Credentials:
            return self.scope.get(container.credentials)

    async with Scope(ADA) as scope:
        if not compiled:
            scope.get(container.person)
        with pytest.raises(ScopeError, match=r"constructor asks its scope for Scoped\(Credentials\)"):
            scope.get(Scoped(Fetches, Seed(Scope), now=True))
        later = scope.get(Scoped(Fetches, Seed(Scope), now=False))

        assert later.credentials() is scope.get(container.credentials)


async def test_not_closed_announces_itself() -> None:
    """An open scope that is discarded warns; one that was never entered, or has closed, does not."""
    del [Scope(ADA)][0]
    async with Scope(ADA):
        pass
    scope = await Scope(ADA).__aenter__()

    with pytest.warns(ResourceWarning, match="never closed"):
        del scope


async def test_a_coroutine_that_is_thrown_away_finishes_what_it_can() -> None:
    """In a discarded coroutine generators are finished, unawaited finalizers are reported, and the objects are dead."""
    container, log = Container(), Database()
    kept: list[Credentials] = []

    def noted(person: Person) -> Iterator[None]:
        try:
            yield
        finally:
            log.log.append(f"finished {person.name}")

    async def body() -> None:
        async with Scope(ADA) as scope:
            kept.append(scope.get(container.credentials))
            scope.get(Scoped(noted, container.person))
            scope.get(container.client)
            await asyncio.Future()

    thrown_away = body()
    thrown_away.send(None)
    with pytest.warns(ResourceWarning, match=r"Scoped\(Client\) was not finished"):
        thrown_away.close()
    gc.collect()

    assert log.log == ["finished ada"]
    with pytest.raises(ScopeError):
        _ = kept[0].token
