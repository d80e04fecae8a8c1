"""The kinds of provider that dependency-injector has, and whether each remembers what it makes.

A scope calls no provider that could remember an object of one scope and give it to another one. Each kind is judged
here by name; a kind that is missing, such as one that a later version of the library adds, is not trusted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from dependency_injector import providers


class Kind(StrEnum):
    """How a provider treats the objects that it makes."""

    PASSES_ON = "passes on"  # keeps nothing: the scope itself resolves what is below it
    PROCESS = "process"  # keeps it for the process; is never called with what belongs to a scope
    CONTEXT = "context"  # keeps it for a thread or a context, which may serve several scopes
    HANDS_OVER = "hands over"  # gives a value, a container or a provider, and calls nothing
    AWAITED = "awaited"  # gives what has to be awaited


KINDS: dict[type, Kind] = {
    providers.Callable: Kind.PASSES_ON,
    providers.DelegatedCallable: Kind.PASSES_ON,
    providers.AbstractCallable: Kind.PASSES_ON,
    providers.Factory: Kind.PASSES_ON,
    providers.DelegatedFactory: Kind.PASSES_ON,
    providers.AbstractFactory: Kind.PASSES_ON,
    providers.Aggregate: Kind.PASSES_ON,
    providers.FactoryAggregate: Kind.PASSES_ON,
    providers.Selector: Kind.PASSES_ON,
    providers.Dependency: Kind.PASSES_ON,
    providers.ExternalDependency: Kind.PASSES_ON,
    providers.List: Kind.PASSES_ON,
    providers.Dict: Kind.PASSES_ON,
    providers.ProvidedInstance: Kind.PASSES_ON,
    providers.AttributeGetter: Kind.PASSES_ON,
    providers.ItemGetter: Kind.PASSES_ON,
    providers.MethodCaller: Kind.PASSES_ON,
    providers.BaseSingleton: Kind.PROCESS,
    providers.Singleton: Kind.PROCESS,
    providers.DelegatedSingleton: Kind.PROCESS,
    providers.ThreadSafeSingleton: Kind.PROCESS,
    providers.DelegatedThreadSafeSingleton: Kind.PROCESS,
    providers.AbstractSingleton: Kind.PROCESS,
    providers.BaseResource: Kind.PROCESS,
    providers.Resource: Kind.PROCESS,
    providers.ThreadLocalSingleton: Kind.CONTEXT,
    providers.DelegatedThreadLocalSingleton: Kind.CONTEXT,
    providers.ContextLocalSingleton: Kind.CONTEXT,
    providers.ContextLocalResource: Kind.CONTEXT,
    providers.Object: Kind.HANDS_OVER,
    providers.Self: Kind.HANDS_OVER,
    providers.Delegate: Kind.HANDS_OVER,
    providers.CallableDelegate: Kind.HANDS_OVER,
    providers.CoroutineDelegate: Kind.HANDS_OVER,
    providers.FactoryDelegate: Kind.HANDS_OVER,
    providers.SingletonDelegate: Kind.HANDS_OVER,
    providers.Container: Kind.HANDS_OVER,
    providers.DependenciesContainer: Kind.HANDS_OVER,
    providers.Configuration: Kind.HANDS_OVER,
    providers.ConfigurationOption: Kind.HANDS_OVER,
    providers.TypedConfigurationOption: Kind.HANDS_OVER,
    providers.Coroutine: Kind.AWAITED,
    providers.DelegatedCoroutine: Kind.AWAITED,
    providers.AbstractCoroutine: Kind.AWAITED,
}

_CALLS = frozenset({"__call__", "_provide", "async_"})
_GETTERS = (providers.ProvidedInstance, providers.AttributeGetter, providers.ItemGetter)
# One object for the whole process: asked for once a scope, so that an override never mixes inside one.
_STEADY = frozenset(
    {
        providers.Singleton,
        providers.ThreadSafeSingleton,
        providers.Resource,
        providers.Object,
        providers.Configuration,
        providers.ConfigurationOption,
        providers.TypedConfigurationOption,
    }
)


def base_of(kind: type) -> type | None:
    """Return the judged kind that providers of this class behave like, or None for one that has its own behaviour.

    Args:
        kind: A class of provider: the library's or a subclass of one, such as a `Factory` with a `provided_type`.
    """
    for base in kind.__mro__:
        if base in KINDS:
            return base
        if _CALLS & vars(base).keys():
            return None
    return None


def kind_of(provider: providers.Provider[Any]) -> Kind | None:
    """Return what is known of this provider's kind; None if it is not known to be safe."""
    base = base_of(type(provider))
    return KINDS[base] if base is not None else None


def is_steady(provider: Any) -> bool:
    """Tell whether the provider's value, or what it is taken from, is the same for the whole process."""
    while isinstance(provider, _GETTERS):
        provider = provider.provides
    base = base_of(type(provider))
    return base is not None and base in _STEADY
