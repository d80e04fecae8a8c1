"""The providers of what lives for one request: `Scoped` makes it, `Seed` is given it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from weakref import WeakSet

from dependency_injector import providers

from .tombstone import OutsideScopeError, ScopeError, tombstone

if TYPE_CHECKING:
    from .compiled import Plan

T = TypeVar("T")
Y = TypeVar("Y")  # what a generator function yields

graph_lock = providers.Provider.overriding_lock  # type: ignore[attr-defined]  # not in the stubs

_planned: WeakSet[Scoped[Any]] = WeakSet()


class Scoped(providers.Factory[T]):
    """A factory that makes one object in each `Scope`, shared by everything that asks for it there.

    The object of a class is dead when its scope has closed: any use raises `ScopeError`. If the class has a method
    `aclose()`, it is awaited first; one `at_scope_end()` is called, and costs the scope no task. A generator function,
    decorated with `@contextmanager` or not, is entered now and finished when the scope closes; it sees the error that
    ended the scope. The result of a function is left alone, because it may be shared.

    It needs an open scope, takes no arguments at the call, and may be overridden by a value or by another `Scoped`.

    Raises:
        ScopeError: `provides` is asynchronous. One such provider would turn all that depend on it into futures.
    """

    plan: Plan | None = None  # what is below it, compiled; None again after every change of a scoped provider
    copied_from: Scoped[Any] | None = None  # containers copy the providers of their class
    grave: type | None = None  # the class of its dead objects: kept as long as the provider is

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that provides in its own way: a scope would never ask it."""
        super().__init_subclass__(**kwargs)
        if cls.__module__ != __name__ and {"__call__", "_provide"} & vars(cls).keys():
            raise ScopeError(f"{cls.__qualname__} overrides how a Scoped provides, which a scope does not call")

    @overload
    def __init__(
        self: Scoped[Y], provides: Callable[..., Generator[Y, None, None]], *args: Any, **kwargs: Any
    ) -> None: ...
    @overload
    def __init__(
        self: Scoped[Y], provides: Callable[..., contextlib._GeneratorContextManager[Y]], *args: Any, **kwargs: Any
    ) -> None: ...
    @overload
    def __init__(self, provides: Callable[..., T] | str | None = None, *args: Any, **kwargs: Any) -> None: ...
    def __init__(self, provides: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(provides, *args, **kwargs)

    def set_provides(self, provides: Callable[..., T] | str | None) -> Self:
        """Set the class or function, and refuse an asynchronous one."""
        with graph_lock:
            forget_plans()
            super().set_provides(provides)
            self.grave = None
        if is_async(self.provides):
            raise ScopeError(
                f"{name_of(self)} is asynchronous, and scoped objects are made without waiting: "
                "await it before the scope opens and pass the result to Scope(...) as a seed"
            )
        return self

    def override(self, provider: Any) -> Any:
        """Let a value or another `Scoped` stand in, from the next scope on; returns a context that undoes it.

        Raises:
            ScopeError: Another kind of provider. A `Factory` would make an object for each consumer, a `Singleton`
                one for all scopes, both without a word.
        """
        if isinstance(provider, providers.Provider) and not isinstance(provider, Scoped | providers.Object):
            raise ScopeError(
                f"{name_of(self)} cannot be overridden with {type(provider).__name__}: its object would not be the "
                "one of a scope. Override it with a Scoped(...), or with the object itself"
            )
        if inspect.isawaitable(provider):
            raise ScopeError(f"{name_of(self)} cannot be overridden with an awaitable: await it first")
        with graph_lock:
            forget_plans()
            return super().override(provider)

    def reset_last_overriding(self) -> None:
        """Undo the last override, from the next scope on."""
        with graph_lock:
            forget_plans()
            super().reset_last_overriding()

    def reset_override(self) -> None:
        """Undo all overrides, from the next scope on."""
        with graph_lock:
            forget_plans()
            super().reset_override()

    @property
    def dies_with_its_scope(self) -> bool:
        """Whether the object refuses to be used after its scope has closed: it is of a class that can change."""
        return tombstone_of(self) is not None

    def __deepcopy__(self, memo: dict[Any, Any] | None) -> Self:
        """Return the copy that a container makes of its class's provider."""
        if memo is not None and id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        copied: Any = super().__deepcopy__(memo)
        copied.copied_from = self
        return copied  # type: ignore[no-any-return]

    def _provide(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise OutsideScopeError(name_of(self))  # a scope never calls it: see resolve.py


class Seed(Scoped[T]):
    """A value that is given to `Scope(...)`, looked up by its exact type: ``principal = Seed(Principal)``.

    `Seed(Scope)` is the scope itself and need not be given. A seed belongs to whoever made it: it does not die.
    """


def _changes_the_graph(method: str) -> Callable[..., Scoped[Any]]:
    change = getattr(providers.Factory, method)

    def changed(self: Scoped[Any], *args: Any, **kwargs: Any) -> Scoped[Any]:
        with graph_lock:
            forget_plans()
            change(self, *args, **kwargs)
        return self

    return changed


for _verb in ("add", "set", "clear"):
    for _noun in ("args", "kwargs", "attributes"):
        setattr(Scoped, f"{_verb}_{_noun}", _changes_the_graph(f"{_verb}_{_noun}"))


def keep_plan(provider: Scoped[Any], plan: Plan) -> None:
    """Keep a plan until the graph changes; the caller holds `graph_lock`."""
    provider.plan = plan
    _planned.add(provider)


def forget_plans() -> None:
    """Make the next scopes see the graph as it will be; the caller holds `graph_lock` and changes it."""
    for provider in _planned:
        provider.plan = None
    _planned.clear()


def name_of(provider: providers.Provider[Any]) -> str:
    """Return what an error calls the provider, such as ``Scoped(Gmail)``."""
    provides = getattr(provider, "provides", None)
    while isinstance(provides, partial):
        provides = provides.func
    return f"{type(provider).__name__}({getattr(provides, '__qualname__', '')})"


def is_async(provides: object) -> bool:
    """Tell whether a call of `provides` gives an awaitable or something to be entered asynchronously."""
    if provides is None or isinstance(provides, type):
        return False
    call = getattr(type(provides), "__call__", None)  # noqa: B004  # an object with `async def __call__`
    called = (provides, call, context_function(provides))
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in called)


def context_function(provides: object) -> object | None:
    """Return the generator function that @contextmanager or @asynccontextmanager was given, if one of them was."""
    while isinstance(provides, partial):
        provides = provides.func
    function = getattr(provides, "__func__", provides)
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename != contextlib.__file__:
        return None
    return getattr(function, "__wrapped__", None)


def tombstone_of(provider: Scoped[Any]) -> type | None:
    """Return the class that the provider's object is given when its scope closes, or None if it is left alone."""
    cls = provider.provides
    if not isinstance(cls, type) or isinstance(provider, Seed):
        return None
    if provider.grave is None:
        provider.grave = tombstone(cls)
    return provider.grave


def kin(one: Scoped[Any], other: Scoped[Any]) -> bool:
    """Tell whether two providers are one to whoever wrote them, copied by different ways into one graph.

    Copies of one provider that are made alike, such as those of two containers of one class, are two.
    """
    return one is not other and (_descends(one, other) or _descends(other, one))


def _descends(one: Scoped[Any], other: Scoped[Any]) -> bool:
    """Tell whether `one` is a copy of a copy of what `other` is a copy of, or a copy of `other` itself."""
    origin = other.copied_from or other
    ancestor = one.copied_from
    if other.copied_from is not None and ancestor is not None:
        ancestor = ancestor.copied_from
    while ancestor is not None:
        if ancestor is origin:
            return True
        ancestor = ancestor.copied_from
    return False
