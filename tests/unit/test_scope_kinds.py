"""Every kind of provider in the library, between two scoped ones: kinds that remember are refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dependency_injector import providers

from containers.proof import LifetimeError, prove
from containers.scopes import KINDS, Kind, Scope, Scoped, ScopeError, kind_of
from tests.unit.scope_graph import ADA, BOB, Container, Person

AnyProvider = providers.Provider[Any]


class Holder:
    """Keeps everything that it is given."""

    def __init__(self, *given: object, **named: object) -> None:
        self.given = [*given, *named.values()]


def classes() -> Iterator[type]:
    """Yield every class of provider that the library exports."""
    for _, found in inspect.getmembers(providers, inspect.isclass):
        if issubclass(found, providers.Provider) and found is not providers.Provider:
            yield found


def test_every_kind_of_the_library_is_judged() -> None:
    """A class that a new version of the library adds fails this test until somebody has classified it."""
    assert set(classes()) == KINDS.keys()


def overridden(abstract: Any, by: AnyProvider) -> AnyProvider:
    """Return an abstract provider, overridden by another provider."""
    abstract.override(by)
    return abstract  # type: ignore[no-any-return]


def in_a_dependency(kind: Any, inner: AnyProvider) -> AnyProvider:
    """Return a dependency with this default."""
    return kind(instance_of=object, default=inner)  # type: ignore[no-any-return]


# How each kind is put above another provider, so that it passes on that provider's object or uses it.
ABOVE: dict[type, Callable[[AnyProvider], AnyProvider]] = {
    providers.Callable: lambda inner: providers.Callable(Holder, inner),
    providers.DelegatedCallable: lambda inner: providers.Callable(providers.DelegatedCallable(Holder, inner)),
    providers.AbstractCallable: lambda inner: overridden(
        providers.AbstractCallable(Holder), providers.Callable(Holder, inner)
    ),
    providers.Factory: lambda inner: providers.Factory(Holder, inner).add_attributes(more=inner),
    providers.DelegatedFactory: lambda inner: providers.Callable(providers.DelegatedFactory(Holder, inner)),
    providers.AbstractFactory: lambda inner: overridden(
        providers.AbstractFactory(Holder), providers.Factory(Holder, inner)
    ),
    providers.Aggregate: lambda inner: providers.Callable(providers.Aggregate(one=inner), "one"),
    providers.FactoryAggregate: lambda inner: providers.Callable(
        providers.FactoryAggregate(one=providers.Factory(Holder, inner)), "one"
    ),
    providers.Selector: lambda inner: providers.Selector(lambda: "one", one=inner),
    providers.Dependency: lambda inner: in_a_dependency(providers.Dependency, inner),
    providers.ExternalDependency: lambda inner: overridden(providers.ExternalDependency(instance_of=object), inner),
    providers.List: lambda inner: providers.List(inner),
    providers.Dict: lambda inner: providers.Dict({"one": inner}),
    providers.ProvidedInstance: lambda inner: providers.Factory(Holder, inner).provided,
    providers.AttributeGetter: lambda inner: providers.Factory(Holder, inner).provided.given,
    providers.ItemGetter: lambda inner: providers.Factory(Holder, inner).provided.given[0],
    providers.MethodCaller: lambda inner: providers.Object(Holder()).provided.given.count.call(inner),
}
REMEMBERING: dict[type, Callable[[AnyProvider], AnyProvider]] = {
    **{
        kind: (lambda inner, kind=kind: kind(Holder, inner))  # type: ignore[misc]
        for kind in (
            providers.Singleton,
            providers.ThreadSafeSingleton,
            providers.ThreadLocalSingleton,
            providers.ContextLocalSingleton,
            providers.Resource,
            providers.ContextLocalResource,
        )
    },
    **{
        kind: (lambda inner, kind=kind: providers.Callable(kind(Holder, inner)))  # type: ignore[misc]
        for kind in (
            providers.DelegatedSingleton,
            providers.DelegatedThreadSafeSingleton,
            providers.DelegatedThreadLocalSingleton,
        )
    },
    providers.AbstractSingleton: lambda inner: overridden(
        providers.AbstractSingleton(Holder), providers.Singleton(Holder, inner)
    ),
}
ABSTRACT = {providers.BaseSingleton, providers.BaseResource}


def test_every_kind_is_tried() -> None:
    """The tables above contain every kind that passes objects on, and every kind that remembers."""
    remember = {kind for kind, judged in KINDS.items() if judged in (Kind.PROCESS, Kind.CONTEXT)}

    assert ABOVE.keys() == {kind for kind, judged in KINDS.items() if judged is Kind.PASSES_ON}
    assert REMEMBERING.keys() == remember - ABSTRACT


async def outcomes(make: Callable[[Container], AnyProvider]) -> list[Any]:
    """Return what Ada and Bob are given, or their errors, when they ask with both scopes open."""
    container, found = Container(), []
    asked = make(container)
    async with Scope(ADA) as ada, Scope(BOB) as bob:
        for scope in (ada, bob):
            try:
                found.append(scope.get(asked))
            except ScopeError as error:
                found.append(error)
    return found


@pytest.mark.parametrize("remembering", REMEMBERING.values(), ids=[kind.__name__ for kind in REMEMBERING])
@pytest.mark.parametrize("above", [None, *ABOVE.values()], ids=["direct", *(kind.__name__ for kind in ABOVE)])
async def test_caching_providers_are_refused_wherever_they_stand(
    remembering: Callable[[AnyProvider], AnyProvider], above: Callable[[AnyProvider], AnyProvider] | None
) -> None:
    """A provider that keeps what it makes gets nothing from a scope, behind any kind, asked directly or injected."""

    def direct(container: Container) -> AnyProvider:
        captive = remembering(container.credentials)
        return above(captive) if above else captive

    for make in (direct, lambda container: Scoped(Holder, container.person, direct(container))):
        found = await outcomes(make)

        assert [type(each) for each in found] == [ScopeError] * 2, found
        assert "Scoped(Credentials)" in str(found[0])
        assert "cannot depend on it" in str(found[0])


@pytest.mark.parametrize("remembering", REMEMBERING.values(), ids=[kind.__name__ for kind in REMEMBERING])
async def test_the_proof_refuses_it_too(remembering: Callable[[AnyProvider], AnyProvider]) -> None:
    """The proof refuses each of them in the declared graph, before any request."""
    container = Container()
    container.captive = remembering(container.credentials)
    container.user = Scoped(Holder, container.captive)

    with pytest.raises(LifetimeError, match="would keep `credentials`"):
        await prove(container, [ADA], [BOB])


@pytest.mark.parametrize("above", ABOVE.values(), ids=[kind.__name__ for kind in ABOVE])
async def test_what_keeps_nothing_gives_each_person_their_own(above: Callable[[AnyProvider], AnyProvider]) -> None:
    """Each kind that passes on gives each scope its own object, also beside a singleton."""

    def user_of(container: Container) -> AnyProvider:
        return Scoped(Holder, above(container.credentials), above(container.database))

    for make in (user_of, lambda container: above(container.credentials)):
        ada, bob = await outcomes(make)

        assert "Error" not in type(ada).__name__, ada
        assert isinstance(bob, int) or ada is not bob


def held(made: object) -> Iterator[object]:
    """Yield everything in these holders, lists and dicts."""
    parts = vars(made) if isinstance(made, Holder) else made
    if isinstance(parts, dict):
        parts = [*parts.values()]
    if not isinstance(parts, list):
        yield parts
        return
    for part in parts:
        yield from held(part)


@pytest.mark.parametrize("above", ABOVE.values(), ids=[kind.__name__ for kind in ABOVE])
async def test_what_keeps_nothing_shares_a_singleton(above: Callable[[AnyProvider], AnyProvider]) -> None:
    """Each kind that passes on gives both scopes the same singleton, if it holds nobody."""
    container = Container()
    user = Scoped(Holder, above(container.database))
    async with Scope(ADA) as ada, Scope(BOB) as bob:
        hers, his = (set(held(scope.get(user))) for scope in (ada, bob))

        assert hers == his
        assert hers in ({container.database()}, {0})  # 0 is the answer of a method that is called with the singleton


@pytest.mark.parametrize("remembering", REMEMBERING.values(), ids=[kind.__name__ for kind in REMEMBERING])
async def test_what_remembers_may_be_used_where_it_holds_nobody(
    remembering: Callable[[AnyProvider], AnyProvider],
) -> None:
    """A singleton of any kind that depends only on a singleton is injected into both scopes."""
    container = Container()
    user = Scoped(Holder, remembering(container.database), container.credentials)
    async with Scope(ADA) as ada, Scope(BOB) as bob:
        hers, his = ada.get(user).given, bob.get(user).given

        assert vars(hers[0])["given"] == [container.database()]
        assert hers[1] is not his[1]


class Remembering(providers.Provider):  # type: ignore[type-arg]
    """A custom kind of provider that the scope does not know."""

    def __init__(self, inner: AnyProvider) -> None:
        super().__init__()
        self.inner = inner
        self.value: object = None

    @property
    def related(self) -> Iterator[AnyProvider]:
        yield self.inner
        yield from super().related

    def _provide(self, args: object, kwargs: object) -> object:
        self.value = self.value or self.inner()
        return self.value

    def __deepcopy__(self, memo: dict[Any, Any] | None) -> Remembering:
        return (memo or {}).get(id(self)) or Remembering(providers.deepcopy(self.inner, memo))


class OwnFactory(providers.Factory[Any]):
    """A factory that may only make persons, as the library documents."""

    provided_type = Person


async def test_an_unknown_kind_is_refused_and_a_plain_subclass_is_known() -> None:
    """A provider with its own behaviour is refused above a scoped one; a plain subclass is treated as its base."""
    found = await outcomes(lambda container: Scoped(Holder, Remembering(container.credentials)))
    container = Container()
    container.user = Scoped(Holder, Remembering(container.credentials))

    assert [type(each) for each in found] == [ScopeError] * 2
    assert "Remembering() is not known to keep nothing" in str(found[0])
    with pytest.raises(LifetimeError, match="not known to keep nothing"):
        await prove(container, [ADA], [BOB])
    assert kind_of(Remembering(providers.Object(1))) is None
    assert kind_of(OwnFactory(Person)) is Kind.PASSES_ON
    assert (await outcomes(lambda container: Scoped(Holder, Remembering(container.database))))[0] is not None


def test_a_scoped_that_provides_in_its_own_way_is_refused() -> None:
    """A Scoped that overrides how it provides is refused, because a scope would silently ignore that."""
    with pytest.raises(ScopeError, match="overrides how a Scoped provides"):

        class Own(Scoped[Any]):
            def _provide(self, args: Any, kwargs: Any) -> Any: ...


async def test_a_call_of_the_library_finds_no_scope() -> None:
    """Calling a scoped provider, inside a `get` or not, raises an error that says what to write instead."""
    container = Container()
    asks: AnyProvider = providers.Callable(lambda: container.credentials())
    async with Scope(ADA) as scope:
        for ask in (container.credentials, lambda: scope.get(asks), lambda: scope.get(Scoped(Holder, asks))):
            with pytest.raises(ScopeError, match=r"Scoped\(Credentials\)") as refused:
                ask()
            assert "scope.get" in str(refused.value)
