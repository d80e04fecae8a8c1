"""The declared graph of a container: its providers by name, what each one calls, how long what it makes lives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from dependency_injector import providers
from dependency_injector.containers import Container, DeclarativeContainer

from ..scopes import Scoped

AnyProvider: TypeAlias = providers.Provider[Any]
AnyContainer: TypeAlias = Container | type[DeclarativeContainer]

_PER_CONTEXT = (providers.ContextLocalSingleton, providers.ThreadLocalSingleton, providers.ContextLocalResource)
_PER_PROCESS = (providers.BaseSingleton, providers.BaseResource, providers.Object)
NAMESPACES = (providers.Container, providers.DependenciesContainer)  # their members have names of their own
_CALLERS = (
    providers.Callable,
    providers.Factory,
    providers.BaseSingleton,
    providers.BaseResource,
    providers.MethodCaller,
)
_WITH_ATTRIBUTES = (providers.Factory, providers.BaseSingleton)
_MAKERS = (providers.Callable, providers.Factory, providers.BaseSingleton, providers.BaseResource)
SETTINGS = (providers.Configuration, providers.ConfigurationOption, providers.TypedConfigurationOption)


class Lifetime(StrEnum):
    """How long the thing that a provider gives out lives."""

    PROCESS = "process"
    REQUEST = "request"
    CONTEXT = "context"  # a thread or a context: outlives the request that was first to ask
    OTHER = "other"  # made, or looked up, anew at each call


@dataclass(frozen=True, slots=True)
class Edge:
    """One provider's use of another.

    Attributes:
        target: The provider that is used.
        place: Where it stands in its user, such as ``argument 1``, ``attribute audit`` or ``override``.
        called: Whether the user receives what the target makes; otherwise it is handed the target as a factory.
    """

    target: AnyProvider
    place: str
    called: bool


Path: TypeAlias = tuple[Edge, ...]


class Graph:
    """Every provider that a container's providers can reach, with the edges that are alive at this moment.

    An overridden provider has one edge, to what overrides it: its own arguments are dead. Lives as long as one check.

    Attributes:
        name: The name of the container's class.
        names: Each provider's name in the container: ``db``, ``core.db`` in a nested one, ``toolkits.gmail`` in an
            aggregate or a selector. Providers that were written in place, such as a List, have none.
        edges: The edges of every provider, in the order of the declaration.
        order: All providers, each after those that it uses (as far as cycles allow).
    """

    def __init__(self, container: AnyContainer) -> None:
        owner = getattr(container, "declarative_parent", None) or container
        self.name: str = getattr(owner, "__name__", type(owner).__name__)
        self.names = _names(container)
        self.edges: dict[AnyProvider, tuple[Edge, ...]] = {}
        self.order: list[AnyProvider] = []
        self._users: dict[AnyProvider, tuple[AnyProvider, str]] = {}
        for provider in self.names:
            self._visit(provider)

    def _visit(self, provider: AnyProvider) -> None:
        if provider in self.edges:
            return
        self.edges[provider] = tuple(_edges(provider))
        for edge in self.edges[provider]:
            self._users.setdefault(edge.target, (provider, edge.place))
            self._visit(edge.target)
        self.order.append(provider)

    def label(self, provider: AnyProvider) -> str:
        """Return the provider's name, or its place: ``agent, argument tools``."""
        if name := self.names.get(provider):
            return name
        if provider not in self._users:
            return made(provider)
        user, place = self._users[provider]
        return f"{self.label(user)}, {place}"

    def paths(
        self, start: AnyProvider, *, to: Callable[[AnyProvider], bool], around: Callable[[AnyProvider], bool]
    ) -> Iterator[Path]:
        """Return the shortest called path from `start` to each provider that is `to`, never through `around`."""
        seen = {start}
        todo: list[Path] = [(Edge(start, "", called=True),)]
        for path in todo:
            for edge in self.edges[path[-1].target]:
                if not edge.called or edge.target in seen:
                    continue
                seen.add(edge.target)
                if to(edge.target):
                    yield (*path, edge)
                elif not around(edge.target):
                    todo.append((*path, edge))

    def answering(self, provider: AnyProvider) -> Path:
        """Return the provider and, in order, the overrides that answer a call of it."""
        path = [Edge(provider, "", called=True)]
        while path[-1].target.last_overriding is not None and len(path) <= len(self.edges):
            path.append(self.edges[path[-1].target][0])
        return tuple(path)

    def callers(self, called: Collection[AnyProvider]) -> set[AnyProvider]:
        """Return these providers and all that call one of them, directly or indirectly."""
        found: set[AnyProvider] = set()
        new = set(called)
        while new:
            found |= new
            new = {
                provider
                for provider, edges in self.edges.items()
                if provider not in found and any(edge.called and edge.target in found for edge in edges)
            }
        return found

    def cycles(self) -> list[Path]:
        """Return each chain of calls that comes back to its start; the last edge closes it."""
        done: set[AnyProvider] = set()
        found: list[Path] = []

        def visit(path: Path) -> None:
            for edge in self.edges[path[-1].target]:
                on_path = [step.target for step in path]
                if edge.called and edge.target in on_path:
                    found.append((*path[on_path.index(edge.target) :], edge))
                elif edge.called and edge.target not in done:
                    visit((*path, edge))
            done.add(path[-1].target)

        for provider in self.edges:
            if provider not in done:
                visit((Edge(provider, "", called=True),))
        return found

    def draw(self, path: Path, *, cycle: bool = False) -> str:
        """Return the path as text, one line per provider: arrow, name, maker, lifetime, place in the code."""
        rows = [
            (self.names.get(edge.target, "·"), made(edge.target), lifetime(edge.target).value, edge.place)
            for edge in (path[:-1] if cycle else path)
        ]
        rows[0] = (self.label(path[0].target), *rows[0][1:])
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = []
        for index, row in enumerate(rows):
            cells = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append(f"   {_arrow(index, len(rows), cycle=cycle)}{cells}".rstrip())
        return "\n".join(lines)


def effective(provider: AnyProvider) -> AnyProvider:
    """Return the provider that answers a call of this one: its last override, and so on, or a dependency's default."""
    seen = {provider}
    while True:
        answering = provider.last_overriding
        if answering is None and isinstance(provider, providers.Dependency):
            answering = provider.default
        if answering is None or answering in seen:
            return provider
        seen.add(answering)
        provider = answering


def lifetime(provider: AnyProvider) -> Lifetime:
    """Return the lifetime of the objects that this provider gives out, following overrides."""
    answering = effective(provider)
    if isinstance(answering, Scoped):
        return Lifetime.REQUEST
    if isinstance(answering, _PER_CONTEXT):
        return Lifetime.CONTEXT
    if isinstance(answering, _PER_PROCESS):
        return Lifetime.PROCESS
    return Lifetime.OTHER


def product(provider: AnyProvider) -> object:
    """Return the class or function that a provider calls, or None."""
    return provider.provides if isinstance(provider, _MAKERS) else None


def made(provider: AnyProvider) -> str:
    """Return the provider's kind and product, such as ``Scoped(Gmail)``; for a value, only its type."""
    what = product(provider)
    if isinstance(provider, providers.Object) and not isinstance(provider, (*NAMESPACES, *SETTINGS)):
        what = type(provider.provides)
    kind = type(provider).__name__
    return f"{kind}({getattr(what, '__qualname__', type(what).__name__)})" if what is not None else kind


def _names(container: AnyContainer) -> dict[AnyProvider, str]:
    names: dict[AnyProvider, str] = {}
    todo: list[tuple[str, Mapping[Any, AnyProvider]]] = [("", container.providers)]
    for prefix, members in todo:
        for name, provider in members.items():
            if isinstance(provider, providers.Self) or provider in names:
                continue
            names[provider] = f"{prefix}{name}"
            if isinstance(provider, (*NAMESPACES, providers.Aggregate, providers.Selector)):
                inner: Any = provider.providers
                todo.append((f"{names[provider]}.", inner))
    return names


def _edges(provider: AnyProvider) -> Iterator[Edge]:
    if provider.last_overriding is not None:
        yield Edge(provider.last_overriding, "override", called=True)
        return
    if isinstance(provider, (*NAMESPACES, providers.Configuration)):
        return  # hands over a container, which builds nothing on its own; its members have names of their own
    hands_over = isinstance(provider, (providers.Delegate, providers.Object))
    for place, value, injected in _places(provider):
        if isinstance(value, providers.Provider):
            # The library injects "delegated" kinds as they are, but calls them everywhere else.
            as_factory = injected and getattr(type(value), "__IS_DELEGATED__", False)
            yield Edge(value, place, called=not hands_over and not as_factory)


def _places(provider: AnyProvider) -> Iterator[tuple[str, object, bool]]:
    """Yield each place of a provider with its value, and whether the value is there as an argument."""
    if isinstance(provider, _CALLERS):
        yield "provides", provider.provides, False
        yield from ((f"argument {number}", value, True) for number, value in enumerate(provider.args, 1))
        yield from ((f"argument {name}", value, True) for name, value in provider.kwargs.items())
        if isinstance(provider, _WITH_ATTRIBUTES):
            yield from ((f"attribute {name}", value, True) for name, value in provider.attributes.items())
    elif isinstance(provider, providers.List):
        yield from ((f"element {index}", value, True) for index, value in enumerate(provider.args))
    elif isinstance(provider, providers.Dict):
        yield from ((f"item {key}", value, True) for key, value in provider.kwargs.items())
    elif isinstance(provider, providers.Aggregate | providers.Selector):
        if isinstance(provider, providers.Selector):
            yield "selector", provider.selector, False
        yield from ((f"choice {key}", value, False) for key, value in provider.providers.items())
    else:
        yield from (("provided", related, False) for related in provider.related)


def _arrow(index: int, rows: int, *, cycle: bool) -> str:
    if cycle and rows == 1:
        return "⥁ "
    if cycle:
        return "╭─>─╮ " if index == 0 else "╰─<─╯ " if index == rows - 1 else "│   ▼ "
    return "╰─> " if index == rows - 1 else "▼   "
