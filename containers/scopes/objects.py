"""Check a scoped object that was just made, enter it where it has to be, and note how to finish it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from dependency_injector import providers

from .closing import Finalizer
from .providers import Scoped, context_function, name_of
from .tombstone import ScopeError

if TYPE_CHECKING:
    from .scope import Scope

_UNOPENED = (contextlib._GeneratorContextManager, contextlib._AsyncGeneratorContextManager)


def check(provider: providers.Provider[Any], value: object) -> type:
    """Return the value's type.

    Raises:
        ScopeError: The value has to be awaited or entered first.
    """
    if asyncio.isfuture(value) or inspect.iscoroutine(value) or inspect.isasyncgen(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ScopeError(
            f"{name_of(provider)} gives {type(value).__name__}, and scoped objects are made without waiting: "
            "await it before the scope opens and pass the result to Scope(...) as a seed"
        )
    if isinstance(value, _UNOPENED) or (isinstance(provider, Scoped) and inspect.isgenerator(value)):
        raise ScopeError(
            f"{name_of(provider)} gives {type(value).__name__}, which nobody would enter and finish: "
            "pass Scoped(...) the generator function itself"
        )
    return type(value)


def is_generator(provider: Scoped[Any]) -> bool:
    """Tell whether the provider's function yields its object and then finishes it."""
    return inspect.isgeneratorfunction(provider.provides) or context_function(provider.provides) is not None


def has_end(provider: Scoped[Any]) -> bool:
    """Tell whether the provider's objects have a method that is called as their scope closes."""
    return _has(provider, "aclose") or _has(provider, "at_scope_end")


def _has(provider: Scoped[Any], method: str) -> bool:
    return callable(getattr(provider.provides, method, None))


def enter_generator(scope: Scope, provider: Scoped[Any], made: Generator[Any, None, None]) -> Any:
    """Return what the generator, or the context manager, yields first.

    It goes on when the scope closes, and sees the scope's error.
    """
    manager: AbstractContextManager[Any]
    manager = made if isinstance(made, AbstractContextManager) else contextmanager(lambda: made)()

    def finish(error: BaseException | None) -> None:
        manager.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    value = manager.__enter__()
    scope._finish(Finalizer(name_of(provider), finish, is_async=False))
    return value


def finish_by_method(scope: Scope, provider: Scoped[Any], value: Any) -> None:
    """Have `value.at_scope_end()` called, and then `value.aclose()` awaited, when the scope closes."""
    name = name_of(provider)
    if _has(provider, "aclose"):
        scope._finish(Finalizer(name, lambda error: value.aclose(), is_async=True))
    if _has(provider, "at_scope_end"):
        scope._finish(Finalizer(name, lambda error: value.at_scope_end(), is_async=False))
