"""Checks that two people's requests share nothing and leave nothing behind."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dependency_injector import providers

from app.principal import Principal
from containers.application import Application
from containers.proof import collector_off
from containers.testing.container import open_test_scope, two_principals
from containers.toolkit_trial import try_toolkit

T = TypeVar("T")


class IsolationError(AssertionError):
    """Two people shared an object, or an object outlived its request."""


async def assert_isolated(
    container: Application,
    provider: providers.Provider[T],
    use: Callable[[T], Awaitable[Any]] | None = None,
    *,
    seeds: Callable[[Principal], tuple[object, ...]] = lambda _: (),
) -> list[Any]:
    """Run two people's requests interleaved, and fail unless they share nothing and leave nothing behind.

    For a toolkit, each tool is also run in two requests of fictitious people, with arguments that its schema allows,
    and so that nothing can leave the process.

    Args:
        container: The container with the provider.
        provider: A scoped provider, such as a toolkit's.
        use: Awaited with each person's object; both run at once.
        seeds: Further seeds for a person's scope.

    Returns:
        The results of `use`, Ada's first.

    Raises:
        IsolationError: Both got the same object, an object outlived its request, or a tool left something in one
            request that the other found.
    """
    with collector_off():
        watched, results = await _interleaved(provider, use, seeds)
        await asyncio.sleep(0)
        if alive := [ref for ref in watched if ref() is not None]:
            kinds = ", ".join(sorted(type(ref()).__mro__[0].__name__ for ref in alive))
            raise IsolationError(f"{kinds} outlived its request; `deputy check` names who holds it")
    for name, toolkit in container.toolkits.providers.items():
        if toolkit is provider and (findings := await try_toolkit(container, name)):
            raise IsolationError("\n\n".join(map(str, findings)))
    return results


async def _interleaved(
    provider: providers.Provider[T],
    use: Callable[[T], Awaitable[Any]] | None,
    seeds: Callable[[Principal], tuple[object, ...]],
) -> tuple[list[weakref.ref[Any]], list[Any]]:
    both_are_open = asyncio.Barrier(2)

    async def request(principal: Principal) -> tuple[str, weakref.ref[Any], Any]:
        async with open_test_scope(principal, *seeds(principal)) as scope:
            made = scope.get(provider)
            await both_are_open.wait()
            result = await use(made) if use is not None else None
            await both_are_open.wait()
            return type(made).__qualname__, weakref.ref(made), result

    (kind, one_ref, one_result), (_, other_ref, other_result) = await asyncio.gather(
        *(request(principal) for principal in two_principals())
    )
    if one_ref is other_ref:  # an object has one plain reference
        raise IsolationError(f"two people were given the same {kind}; have it built anew for each request")
    return [one_ref, other_ref], [one_result, other_result]
