"""Builds the objects of a scope one provider at a time; `compiled` does the same in one function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from dependency_injector import providers
from dependency_injector.providers import is_delegated, is_provider

from .closing import Finalizer
from .providers import Scoped, Seed, active_scope, name_of
from .tombstone import ScopeError

if TYPE_CHECKING:
    from .scope import Scope

Provider: TypeAlias = providers.Provider[Any]

MISSING: Any = object()

# One object for the whole process: asked for once a scope, so that an override never mixes inside one.
_STEADY = (
    providers.Singleton,
    providers.ThreadSafeSingleton,
    providers.Resource,
    providers.Object,
    providers.Configuration,
    providers.ConfigurationOption,
    providers.TypedConfigurationOption,
)
_GETTERS = (providers.ProvidedInstance, providers.AttributeGetter, providers.ItemGetter)


def is_injected_as_is(value: object) -> bool:
    """Tell whether a constructor is given the value itself, not what it provides."""
    return not is_provider(value) or is_delegated(value)


def is_steady(provider: Any) -> bool:
    """Tell whether the provider's value, or what it is taken from, is the same for the whole process."""
    while isinstance(provider, _GETTERS):
        provider = provider.provides
    return isinstance(provider, _STEADY)


def resolve(scope: Scope, memo: dict[Provider, Any], provider: Provider) -> Any:
    """Return the provider's value in the scope; it and what is built on the way are kept in `memo`.

    The first value stays: an override that comes while the scope is open reaches only what is not in `memo` yet.
    """
    value = memo.get(provider, MISSING)
    if value is MISSING:
        value = _scoped(scope, memo, provider) if isinstance(provider, Scoped) else _steady(scope, memo, provider)
        memo[provider] = value
    return value


def _scoped(scope: Scope, memo: dict[Provider, Any], provider: Scoped[Any]) -> Any:
    if provider.last_overriding is not None:
        return resolve(scope, memo, provider.last_overriding)
    if isinstance(provider, Seed):
        return scope._seed(provider.provides)
    args = [_argument(scope, memo, value) for value in provider.args]
    kwargs = {name: _argument(scope, memo, value) for name, value in provider.kwargs.items()}
    attributes = {name: _argument(scope, memo, value) for name, value in provider.attributes.items()}
    call: Any = provider.provides
    value = _made(scope, provider, partial(call, *args, **kwargs))
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


def _made(scope: Scope, provider: Scoped[Any], make: Callable[[], Any]) -> Any:
    if isinstance(provider.provides, type):
        value = make()
        scope._dies(value)
        if has_aclose(provider):
            finish_with_aclose(scope, provider, value)
        return value
    value = call_in(scope, make) if is_provider(provider.provides) else make()
    if is_generator(provider):
        return enter_generator(scope, provider, value)
    check(provider, value)
    return value


def _argument(scope: Scope, memo: dict[Provider, Any], value: Any) -> Any:
    if is_injected_as_is(value):
        return value
    if isinstance(value, Scoped) or is_steady(value):
        return resolve(scope, memo, value)
    if type(value) is providers.List and value.last_overriding is None:
        return [_argument(scope, memo, item) for item in value.args]
    if type(value) is providers.Dict and value.last_overriding is None and not any(map(is_provider, value.kwargs)):
        return {key: _argument(scope, memo, item) for key, item in value.kwargs.items()}
    return provide(scope, value)


def provide(scope: Scope, provider: Provider) -> Any:
    """Return what a provider gives that is neither scoped nor the same for the whole process."""
    value = call_in(scope, provider)
    check(provider, value)
    return value


def _steady(scope: Scope, memo: dict[Provider, Any], provider: Provider) -> Any:
    try:
        value = call_in(None, provider)
    except ScopeError:
        root: Any = provider
        while isinstance(root, _GETTERS) or root.last_overriding is not None:
            root = root.last_overriding or root.provides
        if isinstance(root, _STEADY):  # it outlives the scope, so it must not get what belongs to the scope
            raise
        value = call_in(scope, provider)
    check(provider, value)
    return value


def call_in(scope: Scope | None, provide: Callable[[], Any]) -> Any:
    """Return what is provided while `scope` is active; where none is, a scoped provider raises."""
    token = active_scope.set(scope)
    try:
        return provide()
    finally:
        active_scope.reset(token)


def check(provider: Provider, value: object) -> type:
    """Return the value's type.

    Raises:
        ScopeError: The value would have to be awaited first.
    """
    if asyncio.isfuture(value) or inspect.iscoroutine(value) or inspect.isasyncgen(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ScopeError(
            f"{name_of(provider)} gives {type(value).__name__}, and scoped objects are made without waiting: "
            "await it before the scope opens and pass the result to Scope(...) as a seed"
        )
    return type(value)


def is_generator(provider: Scoped[Any]) -> bool:
    """Tell whether the provider's function yields its object and then finishes it."""
    return inspect.isgeneratorfunction(provider.provides)


def has_aclose(provider: Scoped[Any]) -> bool:
    """Tell whether the provider's objects are to be closed with `aclose()`."""
    return callable(getattr(provider.provides, "aclose", None))


def enter_generator(scope: Scope, provider: Scoped[Any], generator: Generator[Any, None, None]) -> Any:
    """Return what the generator yields first; it goes on when the scope closes, and sees its error."""
    manager = contextmanager(lambda: generator)()

    def finish(error: BaseException | None) -> None:
        manager.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    value = manager.__enter__()
    scope._finish(Finalizer(name_of(provider), finish, is_async=False))
    return value


def finish_with_aclose(scope: Scope, provider: Scoped[Any], value: Any) -> None:
    """Have `value.aclose()` called when the scope closes."""
    scope._finish(Finalizer(name_of(provider), lambda error: value.aclose(), is_async=True))
