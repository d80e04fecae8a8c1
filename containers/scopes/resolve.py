"""Builds the objects of a scope one provider at a time; `compiled` does the same in one function.

The library never calls a scoped provider: every provider above one is resolved here, kind by kind, and a call that the
library makes on its own finds no scope. So nothing that the library remembers can hold an object of a scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from dependency_injector import errors, providers
from dependency_injector.providers import is_delegated, is_provider

from .kinds import KINDS, Kind, base_of, is_steady
from .objects import check, enter_generator, finish_by_method, has_end, is_generator
from .providers import Scoped, Seed, kin, name_of
from .tombstone import OutsideScopeError, ScopeError

if TYPE_CHECKING:
    from .scope import Scope

Provider: TypeAlias = providers.Provider[Any]

MISSING: Any = object()
_NONE: Mapping[str, Any] = {}
_FACTORIES = (providers.Factory, providers.DelegatedFactory)
_CALLS = (*_FACTORIES, providers.Callable, providers.DelegatedCallable)


def is_injected_as_is(value: object) -> bool:
    """Tell whether a constructor is given the value itself, not what it provides."""
    return not is_provider(value) or is_delegated(value)


def refuse_unknown(provider: Provider, asked: str) -> None:
    """Raise an error: this provider may remember the scoped object that it depends on.

    Raises:
        ScopeError: Always.
    """
    base = base_of(type(provider))
    kind = KINDS.get(base) if base is not None else None
    why = "is not known to keep nothing of what it makes"
    if kind in (Kind.PROCESS, Kind.CONTEXT):
        why = f"keeps what it makes for longer than a scope ({kind})"
    raise ScopeError(
        f"{name_of(provider)} {why}, and it depends on {asked}, which is one scope's: a singleton cannot depend on "
        "it. Make it Scoped, or hand it a factory (`provider.provider`) to pass to `scope.get`"
    ) from None


class Resolver:
    """Resolves providers in one scope; lives for one `get`.

    Args:
        scope: Whose objects are built.
        memo: Everything built so far, by provider; it is added to. The first value stays: an override that comes while
            the scope is open reaches only providers that are not in here yet.
    """

    __slots__ = ("_memo", "_path", "_scope")

    def __init__(self, scope: Scope, memo: dict[Provider, Any]) -> None:
        self._scope = scope
        self._memo = memo
        self._path: list[Provider] = []

    def value(self, provider: Provider, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = _NONE) -> Any:
        """Return what a provider gives in the scope.

        Args:
            provider: Of any kind.
            args: The arguments of the call, such as those that a `Callable` hands to the provider that it calls.
            kwargs: Those with names.
        """
        is_scoped = isinstance(provider, Scoped)
        if not is_scoped and not is_steady(provider):
            return self._followed(provider, args, kwargs)
        if is_scoped and (args or kwargs):
            raise ScopeError(
                f"{name_of(provider)} has one object in a scope and takes no arguments at the call: "
                "declare them in the container"
            )
        value = self._memo.get(provider, MISSING)
        if value is MISSING:
            if isinstance(provider, Scoped):
                self._refuse_twins(provider)
            value = self._followed(provider, args, kwargs)
            self._memo[provider] = value
        return value

    def _refuse_twins(self, provider: Scoped[Any]) -> None:
        for other in self._memo:
            if isinstance(other, Scoped) and kin(provider, other):
                raise ScopeError(twins(provider))

    def _followed(self, provider: Provider, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return what the provider, or what overrides it, gives; refuse a circle."""
        if provider in self._path:
            cycle = [*self._path[self._path.index(provider) :], provider]
            raise ScopeError(f"providers need each other to be built: {' -> '.join(map(name_of, cycle))}")
        self._path.append(provider)
        try:
            stand_in = provider.last_overriding
            if stand_in is not None and type(provider) is not providers.Container:
                value = self.value(stand_in, args, kwargs)
                if isinstance(provider, providers.Dependency):
                    _check_instance(provider, value)
                return value
            if isinstance(provider, Scoped):
                return self._scoped(provider)
            value = self._by_kind(provider, args, kwargs)
            check(provider, value)
            return value
        finally:
            self._path.pop()

    # -- scoped providers --

    def _scoped(self, provider: Scoped[Any]) -> Any:
        if isinstance(provider, Seed):
            return self._scope._seed(provider.provides)
        args = self._arguments(provider.args)
        kwargs = self._keywords(provider.kwargs)
        attributes = self._keywords(provider.attributes)
        value = self._made(provider, args, kwargs)
        for name, attribute in attributes.items():
            setattr(value, name, attribute)
        return value

    def _made(self, provider: Scoped[Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        make: Any = provider.provides
        if isinstance(make, type):
            value = make(*args, **kwargs)
            self._scope._dies(value)
            if has_end(provider):
                finish_by_method(self._scope, provider, value)
            return value
        value = self.value(make, args, kwargs) if is_provider(make) else make(*args, **kwargs)
        if is_generator(provider):
            return enter_generator(self._scope, provider, value)
        check(provider, value)
        return value

    # -- what stands between them --

    def _by_kind(self, provider: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        base: Any = base_of(type(provider))
        if base in _CALLS:
            return self._called(provider, args, kwargs)
        if base is providers.List:
            return [*self._arguments(provider.args), *args]
        if base is providers.Dict:
            return {
                self.value(key) if is_provider(key) else key: self._argument(item)
                for key, item in provider.kwargs.items()
            } | dict(kwargs)
        if base is providers.ProvidedInstance:
            return self.value(provider.provides, args, kwargs)
        if base is providers.AttributeGetter:
            return getattr(self.value(provider.provides), provider.name)
        if base is providers.ItemGetter:
            return self.value(provider.provides)[provider.name]
        if base is providers.MethodCaller:
            method = self.value(provider.provides)
            return method(*self._arguments(provider.args), *args, **{**self._keywords(provider.kwargs), **kwargs})
        if base in (providers.Aggregate, providers.FactoryAggregate) and args:
            return self.value(_chosen(provider, args[0]), args[1:], kwargs)
        if base is providers.Selector:
            selector = provider.selector
            chosen = self.value(selector) if is_provider(selector) else selector()
            return self.value(_chosen(provider, chosen), args, kwargs)
        if base in (providers.Dependency, providers.ExternalDependency) and provider.default is not None:
            value = self.value(provider.default, args, kwargs)
            _check_instance(provider, value)
            return value
        return _outside(provider, args, kwargs)

    def _called(self, provider: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = [*self._arguments(provider.args), *args]
        named = {**self._keywords(provider.kwargs), **kwargs}
        make: Any = provider.provides
        value = self.value(make, given, named) if is_provider(make) else make(*given, **named)
        if isinstance(provider, _FACTORIES):
            for name, attribute in self._keywords(provider.attributes).items():
                setattr(value, name, attribute)
        return value

    def _arguments(self, values: Sequence[Any]) -> list[Any]:
        return [self._argument(value) for value in values]

    def _keywords(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._argument(value) for name, value in values.items()}

    def _argument(self, value: Any) -> Any:
        return value if is_injected_as_is(value) else self.value(value)


def _outside(provider: Provider, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what the library makes on its own; a scoped provider below it refuses."""
    try:
        return partial(provider, *args, **kwargs)()
    except OutsideScopeError as error:
        refuse_unknown(provider, error.provider)


def _chosen(provider: Any, name: Any) -> Provider:
    members: Mapping[Any, Provider] = provider.providers
    if name not in members:
        raise errors.NoSuchProviderError(f"{name_of(provider)} has no provider {name!r}")
    return members[name]


def _check_instance(provider: Any, value: Any) -> None:
    check(provider, value)
    if not isinstance(value, provider.instance_of):
        raise errors.Error(
            f"{name_of(provider)} was given a {type(value).__qualname__}: {provider.instance_of} is asked"
        )


def twins(provider: Scoped[Any]) -> str:
    """Return the message for a provider that is in one scope twice, as two copies."""
    return (
        f"{name_of(provider)} is in this graph twice: dependency-injector has copied it, and two copies would be two "
        "objects in one scope. Refer to it through one container only: not through a container's class from another "
        "one, nor through `containers.copy` of a container whose providers the copy replaces"
    )
