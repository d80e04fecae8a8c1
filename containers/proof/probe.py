"""Two requests of two people, open at once: all that is scoped is built in both, in turns, and then watched."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any
from weakref import ref

from ..scopes import Scope, Scoped, Seed
from .findings import Finding, failure
from .graph import AnyProvider, Graph
from .holders import Watch

_CONSTANTS = (NoneType, bool, int, float, complex, str, bytes, Enum, type, ModuleType, BuiltinFunctionType)
_COLLECTIONS = (list, tuple, set, frozenset, dict)


class Probe:
    """Runs the two requests. Lives for one proof; afterwards it holds names and weak references only.

    A scoped provider has to make something new in each scope. It may hand on the very object that a singleton or an
    Object of the container provides; it is then listed in `shared`. Anything else that is in both scopes, or alive
    after them, is a finding, and so is a value that a provider looked up in some map: nobody can tell such a map from
    a leak. Constants (texts, numbers, enum members, plain functions) may be in both; the seeds and what they hold are
    the caller's and are not judged.

    Attributes:
        scoped: How many scoped providers were tried.
        watches: Every object made, by weak reference: what a provider gave, or what is in the list, tuple, set or dict
            that it gave and not in the other scope's; and the two scopes.
        unwatched: Providers that gave something which takes no weak reference.
        shared: Providers that gave what a long-lived provider of the container gives.
    """

    def __init__(self, graph: Graph, long_lived: Mapping[int, str], blocked: set[AnyProvider]) -> None:
        self.scoped = 0
        self.watches: list[Watch] = []
        self.unwatched: dict[str, None] = {}
        self.shared: dict[str, None] = {}
        self._graph = graph
        self._long_lived = long_lived
        self._blocked = blocked

    async def run(self, one: Sequence[object], other: Sequence[object], order: Sequence[AnyProvider]) -> list[Finding]:
        """Open both scopes, build all that is scoped in this order, close them, and return the findings."""
        findings: list[Finding] = []
        try:
            async with Scope(*one) as first, Scope(*other) as second:
                self.watches += [Watch("the scope itself", ref(first)), Watch("the scope itself", ref(second))]
                findings += self._build((first, *one), (second, *other), order)
        except Exception as error:  # a finalizer is anybody's code
            findings.append(failure(self._graph, None, error, "closing the scope"))
        return findings

    def _build(self, one: Sequence[Any], other: Sequence[Any], order: Sequence[AnyProvider]) -> Iterator[Finding]:
        """Build in two scopes, each given with its seeds; what is built is held only as long as this runs."""
        given = _parts(one) | _parts(other)
        firsts: dict[int, tuple[str, object]] = {}
        seconds: dict[int, tuple[str, object]] = {}
        self.scoped = 0
        for provider in order:
            if not isinstance(provider, Scoped) or provider in self._blocked:
                continue
            label = self._graph.label(provider)
            try:
                mine, yours = one[0].get(provider), other[0].get(provider)
            except Exception as error:  # a constructor is anybody's code
                yield failure(self._graph, provider, error, f"building `{label}` in a request scope")
                self._blocked |= self._graph.callers({provider})
                continue
            self.scoped += 1
            if isinstance(provider, Seed):
                yield from self._check_seed(provider, (mine, one), (yours, other))
                continue
            for made, peer, own in ((mine, yours, firsts), (yours, mine, seconds)):
                if id(made) not in given and self._is_request_owned(label, made):
                    own.setdefault(id(made), (label, made))
                    self._watch(label, made, peer)
        for address, (label, _) in firsts.items():
            if address in seconds:
                yield self._in_both(label, seconds[address][0])

    def _is_request_owned(self, label: str, made: object) -> bool:
        if _is_constant(made):
            self.unwatched[label] = None
        elif id(made) in self._long_lived:
            self.shared[label] = None
        else:
            return True
        return False

    def _watch(self, label: str, made: object, peer: object) -> None:
        try:
            self.watches.append(Watch(label, ref(made)))
        except TypeError:
            self.unwatched[label] = None
            common = {id(element) for element in _elements(peer)}
            for element in _elements(made):
                if id(element) not in common and id(element) not in self._long_lived and not _is_constant(element):
                    self._watch(f"an element of {label}", element, None)

    def _check_seed(
        self, provider: AnyProvider, mine: tuple[object, Sequence[object]], yours: tuple[object, Sequence[object]]
    ) -> Iterator[Finding]:
        if any(all(value is not seed for seed in seeds) for value, seeds in (mine, yours)):
            yield Finding(
                f"the seed `{self._graph.label(provider)}` does not give what the scope was opened with: every request "
                "would be taken for the same one",
                self._graph.draw(self._graph.answering(provider)),
                "reset what overrides it",
                provider,
            )

    def _in_both(self, label: str, other_label: str) -> Finding:
        names = f"`{label}`" if label == other_label else f"`{label}` and `{other_label}`"
        return Finding(
            f"{names} gave the same object in the scopes of two people",
            "",
            "build it anew in each scope; if all may share it, declare it as a ThreadSafeSingleton or an Object",
        )


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple | frozenset) and type(value) in _COLLECTIONS:
        return all(_is_constant(element) for element in value)
    return isinstance(value, _CONSTANTS) or (isinstance(value, FunctionType) and value.__closure__ is None)


def _elements(value: Any) -> Iterator[object]:
    """Return the elements of a builtin collection, and of the collections in it."""
    if type(value) in _COLLECTIONS:
        for element in value.values() if type(value) is dict else value:
            yield from _elements(element) if type(element) in _COLLECTIONS else (element,)


def _parts(seeds: Sequence[object]) -> set[int]:
    """Return the ids of the seeds and of their contents, three references deep: these are the caller's."""
    level: list[object] = list(seeds[1:])
    found: set[int] = set()
    for _ in range(3):
        found |= {id(part) for part in level}
        level = [part for part in gc.get_referents(*level) if not isinstance(part, type | ModuleType | FunctionType)]
    return found | {id(part) for part in level}
