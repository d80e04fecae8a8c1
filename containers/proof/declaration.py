"""Faults that the declared graph of a container shows without a call."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator

from dependency_injector import providers, resources

from ..scopes import Kind, Scoped, is_async, kin, kind_of
from .findings import Finding
from .graph import AnyProvider, Edge, Graph, Lifetime, effective, lifetime, product


def faults(graph: Graph) -> Iterator[Finding]:
    """Yield all faults of the declaration: captives, cycles, async and racy providers, overrides that change lifetimes.

    Overridden providers are judged by what overrides them. A provider that is handed over as a factory
    (`creds.provider`, an Aggregate) is not held: whoever has it must call it in an open scope.
    """
    yield from _cycles(graph)
    yield from _twins(graph)
    for provider in graph.edges:
        if _holds(provider):
            yield from _captives(graph, provider)
        if isinstance(provider, Scoped):
            yield from _changed_lifetime(graph, provider)
        if provider.last_overriding is None:
            yield from _async(graph, provider)
            yield from _racy(graph, provider)


def _captives(graph: Graph, holder: AnyProvider) -> Iterator[Finding]:
    lives = lifetime(holder)
    if kind_of(holder) is None:
        keeps = (
            f"`{graph.label(holder)}` is a {type(holder).__name__}, which is not known to keep nothing, and is given"
        )
    else:
        keeps = f"`{graph.label(holder)}` lives as long as the {lives} and would keep"
    shorter = {Lifetime.REQUEST, Lifetime.CONTEXT} if lives is Lifetime.PROCESS else {Lifetime.REQUEST}

    def is_captive(found: AnyProvider) -> bool:
        return effective(found) is found and lifetime(found) in shorter

    for path in graph.paths(holder, to=is_captive, around=_holds):
        captive = path[-1].target
        yield Finding(
            f"{keeps} `{graph.label(captive)}`, which lives as long as the {lifetime(captive)}",
            graph.draw(path),
            f"make `{graph.label(holder)}` Scoped, or hand it the factory `{graph.label(captive)}.provider` "
            "to call in an open scope",
            holder,
        )


def _holds(provider: AnyProvider) -> bool:
    """Return whether a provider may keep its arguments beyond the request; one that is overridden keeps nothing."""
    if provider.last_overriding is not None or isinstance(provider, Scoped):
        return False
    return kind_of(provider) in (Kind.PROCESS, Kind.CONTEXT, None)


def _cycles(graph: Graph) -> Iterator[Finding]:
    for path in graph.cycles():
        names = " → ".join(f"`{graph.label(edge.target)}`" for edge in path)
        yield Finding(
            f"to build `{graph.label(path[0].target)}`, it must be there already: {names}",
            graph.draw(path, cycle=True),
            "take what both need into a third provider, or hand one of them over as a factory with `.provider`",
            path[0].target,
        )


def _twins(graph: Graph) -> Iterator[Finding]:
    """Scoped providers that dependency-injector has copied by two ways into one container."""
    scoped = [provider for provider in graph.edges if isinstance(provider, Scoped)]
    for index, one in enumerate(scoped):
        for other in scoped[:index]:
            if kin(one, other):
                yield Finding(
                    f"`{graph.label(one)}` is a second copy of `{graph.label(other)}`: one request would have both",
                    "",
                    "refer to it through one container only: not through a container's class from another one, nor "
                    "through `containers.copy` of a container whose providers the copy replaces",
                    one,
                )


def _changed_lifetime(graph: Graph, provider: AnyProvider) -> Iterator[Finding]:
    answering = effective(provider)
    if lifetime(provider) in (Lifetime.PROCESS, Lifetime.CONTEXT):
        becomes = "one object would be shared by all requests"
    elif isinstance(answering, providers.Factory | providers.Callable) and not isinstance(answering, Scoped):
        becomes = "every user of it in a request would get another object"
    else:
        return
    yield Finding(
        f"`{graph.label(provider)}` is overridden by a {type(answering).__name__}: {becomes}",
        graph.draw(graph.answering(provider)),
        f"override `{graph.label(provider)}` with a Scoped provider",
        provider,
    )


def _async(graph: Graph, provider: AnyProvider) -> Iterator[Finding]:
    if _gives_awaitables(provider):
        yield Finding(
            f"`{graph.label(provider)}` is asynchronous: it and all that use it would give out Futures",
            graph.draw((Edge(provider, "", called=True),)),
            "await it before the container is built, or before the scope opens, and give the container the value",
            provider,
        )


def turned_async(graph: Graph, blocked: Collection[AnyProvider]) -> Iterator[Finding]:
    """Providers that were found out to give a Future only when they were called; not those that pass one on."""
    for provider, edges in graph.edges.items():
        passes_on = any(edge.called and edge.target.is_async_mode_enabled() for edge in edges)
        if provider not in blocked and not passes_on:
            yield from _async(graph, provider)


def _gives_awaitables(provider: AnyProvider) -> bool:
    """Return whether a provider gives out awaitables, judged by its kind, by its target or by its calls so far."""
    makes = product(provider)
    if isinstance(provider, providers.BaseResource) and callable(makes):
        makes = inspect.unwrap(makes)  # the library wraps generator functions
    return (
        isinstance(provider, providers.Coroutine)
        or provider.is_async_mode_enabled()
        or is_async(makes)
        or (isinstance(makes, type) and issubclass(makes, resources.AsyncResource))
    )


def _racy(graph: Graph, provider: AnyProvider) -> Iterator[Finding]:
    # The compiled ThreadSafeSingleton is not a subclass of Singleton, though its type stub says so.
    if isinstance(provider, providers.Singleton):
        yield Finding(
            f"`{graph.label(provider)}` is a {type(provider).__name__}: threads that ask for it at once build several",
            graph.draw((Edge(provider, "", called=True),)),
            "use ThreadSafeSingleton",
            provider,
            blocks=False,
        )
