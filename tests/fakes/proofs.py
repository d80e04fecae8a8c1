"""A cache for the proof of lifetimes at a server's start, which takes a quarter of a short test's time."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from types import BuiltinMethodType

from dependency_injector import providers

from app.errors import SettingsError
from app.settings import Settings
from containers.application import Application
from containers.proof import Graph, Proof, lifetime
from containers.proof.graph import AnyProvider, _places, product
from containers.proof.lifetimes import _build_long_lived
from tests.fakes.remembering import _lasting

_PROVES = Callable[[Application, Settings], Awaitable[Proof]]
_PLAIN = (str, int, float, bool, type(None))
_ALWAYS = ("tests/attacks/", "tests/isolation/")  # where the proof is part of what is tested


class _UnknownError(Exception):
    """A part of the graph is defined by a test, so the graph was not proved before."""


def proved_once(prove: _PROVES) -> _PROVES:
    """Return a proof that only builds the singletons of a container whose graph was proved in this process.

    Two graphs are the same if their providers have the same names, kinds, products, arguments and overrides; addresses,
    secrets and limits may differ. A graph with a class or function that a test defines is proved each time, and so are
    agno agents and everything in the tests of isolation and of attacks. A direct call of `prove_lifetimes` always
    proves everything.
    """
    known: dict[tuple[object, ...], Proof] = {}

    async def proved(container: Application, settings: Settings) -> Proof:
        own = os.environ.get("PYTEST_CURRENT_TEST", "").startswith(_ALWAYS)
        if own or any(agent.agno is not None for agent in settings.agents.values()):
            return await prove(container, settings)
        graph = Graph(container)
        try:
            key = tuple(_described(graph))
        except _UnknownError:
            return await prove(container, settings)
        if key in known and not [*_build_long_lived(graph, set(), {}, (SettingsError,))]:
            return known[key]
        known[key] = await prove(container, settings)
        return known[key]

    return proved


def _described(graph: Graph) -> Iterator[object]:
    """Yield everything that the proof depends on, for each provider in order.

    Raises:
        _UnknownError: A class or a function is not defined at the top of a module.
    """
    numbers = {provider: number for number, provider in enumerate(graph.order)}
    for provider, edges in graph.edges.items():
        yield numbers[provider], type(provider), graph.names.get(provider), lifetime(provider)
        yield tuple((numbers[edge.target], edge.place, edge.called) for edge in edges)
        yield tuple(_values(provider))


def _values(provider: AnyProvider) -> Iterator[object]:
    if isinstance(provider, providers.Object):
        yield _kind(provider.provides)
        return
    if (makes := product(provider)) is not None and not isinstance(makes, providers.Provider):
        yield _kind(makes)
    for place, value, _ in _places(provider):
        if place != "provides" and not isinstance(value, providers.Provider):
            yield place, _kind(value)


def _kind(value: object) -> object:
    """Return a class or function itself, and the class of any other value."""
    if isinstance(value, _PLAIN):
        return type(value)
    if isinstance(value, list | tuple | set | frozenset):
        return type(value), frozenset(_kind(each) for each in value)
    if isinstance(value, dict):
        return dict, frozenset((repr(key), _kind(each)) for key, each in value.items())
    if isinstance(value, BuiltinMethodType):
        return type(value.__self__), value.__name__
    if callable(value) and (key := _lasting(value)) is not None:
        return key
    if (callable(value) and hasattr(value, "__qualname__")) or "<locals>" in type(value).__qualname__:
        raise _UnknownError
    return type(value)
