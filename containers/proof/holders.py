"""Find the holders of an object that should be dead: places from a module, a task or a singleton down to it."""

from __future__ import annotations

import asyncio
import gc
import sys
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from weakref import ref

from .places import is_own_frame, local_variables, name_of, namespace, place

MAX_LEVELS = 16  # holders of holders …; each level is one pass over all that the collector tracks, about 10 ms
MAX_NODES = 5000  # holders looked at, so that the search ends in a web of millions

_OUTERMOST = (type, types.ModuleType, asyncio.Task, asyncio.AbstractEventLoop, Context)


@dataclass(frozen=True, slots=True)
class Watch:
    """An object that should die, by the name of its provider."""

    name: str
    ref: ref[Any]


@dataclass(frozen=True, slots=True)
class Held:
    """Why an object is alive.

    Attributes:
        name: The object at the end of the chain.
        chain: From the outermost holder down to the object.
        also: Other objects that are alive because of the same holders.
        is_cycle: Nothing outside holds them; they hold each other until the collector runs.
    """

    name: str
    chain: tuple[str, ...]
    also: tuple[str, ...] = ()
    is_cycle: bool = False


def explain(watches: Sequence[Watch], known: Mapping[int, str]) -> list[Held]:
    """Explain why each watched object that should be dead is alive, with one chain per name.

    Args:
        watches: Objects that should be dead; two objects of one name are explained once.
        known: Names of long-lived objects by `id()`, such as the container's singletons and providers; a chain
            starts at one.
    """
    return list(_Search(watches, known).explain())


@dataclass(frozen=True, slots=True)
class _Root:
    """An outermost holder in words, the id of the node that it refers to, and of the first one to name after it."""

    name: str
    top: int
    first: int


class _Search:
    """Walks from all living objects to their holders at once, level by level. Lives for one `explain()`.

    Attributes:
        known, modules: Names of outermost holders, and of the namespaces of modules, by id.
        nodes: Every object seen, by id; kept alive, so that ids stay true.
        names: The living watched objects among them.
        below: For each holder, the ids of the nodes that it refers to.
        toward: For each holder, the node through which it was reached, one step nearer to a living object.
        roots: The outermost holders.
    """

    def __init__(self, watches: Sequence[Watch], known: Mapping[int, str]) -> None:
        self.known = known
        self.modules = {
            id(getattr(module, "__dict__", None)): name for name, module in reversed(list(sys.modules.items()))
        }
        living = [(watch.name, watch.ref()) for watch in watches]
        self.names = {id(alive): name for name, alive in living if alive is not None}
        self.nodes: dict[int, Any] = {id(alive): alive for _, alive in living if alive is not None}
        self.below: dict[int, set[int]] = {}
        self.toward: dict[int, int] = {}
        self.roots: list[_Root] = []
        self._explained: set[int] = set()
        self._reported: set[str] = set()
        living.clear()
        gc.unfreeze()  # `get_referrers` does not look at frozen objects, and one of them may be the holder
        self._walk()

    def _walk(self) -> None:
        frontier = list(self.nodes.values())
        for _ in range(MAX_LEVELS):
            if not frontier or len(self.nodes) > MAX_NODES:
                return
            own = {id(frontier), id(self.nodes)}
            holders = gc.get_referrers(*frontier)
            reached = {id(node) for node in frontier}
            frontier = []
            for holder in holders:
                if id(holder) not in own and not is_own_frame(holder):
                    frontier += self._meet(holder, reached)
            del holders  # or the next level would find this list

    def _meet(self, holder: Any, reached: set[int]) -> list[Any]:
        """Note what a holder refers to; it is the next to look at unless it is outermost or was seen before."""
        children = [id(child) for child in gc.get_referents(holder) if id(child) in self.nodes]
        self.below.setdefault(id(holder), set()).update(children)
        new = [child for child in children if child in reached]
        if id(holder) in self.known or id(holder) in self.modules or issubclass(type(holder), _OUTERMOST):
            self.roots += [self._root(holder, child) for child in new]
            return []
        if id(holder) in self.nodes or not new:
            return []
        self.nodes[id(holder)] = holder
        self.toward[id(holder)] = new[0]
        return [holder]

    def _root(self, holder: Any, child: int) -> _Root:
        """Name an outermost holder; the namespace of a class or an instance belongs to its name."""
        kind, below = type(holder), self.nodes[child]
        if id(holder) in self.modules:
            return _Root(f"module attribute {self.modules[id(holder)]}.{name_of(holder, below)}", child, child)
        if issubclass(kind, asyncio.Task):
            return _Root(f"task {holder.get_name()}", child, child)
        if issubclass(kind, Context):
            names = sorted(variable.name for variable, value in holder.items() if id(value) in self.nodes)
            return _Root(f"context variable {', '.join(names)}", child, child)
        name = self.known.get(id(holder), f"{kind.__module__}.{kind.__qualname__}")
        if issubclass(kind, type) and child in self.toward:
            attribute = name_of(below, self.nodes[self.toward[child]])
            name = f"class attribute {holder.__module__}.{holder.__qualname__}.{attribute}"
        elif namespace(holder) is self.nodes[child]:
            name += f": {kind.__qualname__}.{name_of(below, self.nodes[self.toward[child]])}"
        else:
            return _Root(f"{name}: {place(holder, below)}", child, child)
        return _Root(name, child, self.toward[child])

    def explain(self) -> Iterator[Held]:
        """Yield objects held by an outermost holder, then cycles, then running functions, then the rest."""
        for root in self.roots:
            yield from self._hanging(root)
        for start in self.names:
            if start not in self._explained and (cycle := self._cycle(start)):
                yield from self._report(start, self._steps(cycle), start, is_cycle=True)
        if self.names.keys() - self._explained:
            for name, node in list(local_variables(self.nodes)):
                yield from self._hanging(_Root(name, node, node))
        for start in self.names:
            if start not in self._explained:
                yield from self._report(start, [_OUT_OF_SIGHT, self.names[start]], start)

    def _hanging(self, root: _Root) -> Iterator[Held]:
        path = [root.first]
        while path[-1] not in self.names:
            path.append(self.toward[path[-1]])
        yield from self._report(path[-1], [root.name, *self._steps(path)], root.top)

    def _report(self, start: int, chain: Sequence[str], top: int, *, is_cycle: bool = False) -> Iterator[Held]:
        covered = {start, top}
        todo = [start, top]
        for node in todo:
            following = self.below.get(node, set()) - covered
            covered |= following
            todo += following
        self._explained |= covered
        name = self.names[start]
        if name not in self._reported:
            self._reported.add(name)
            also = {self.names[one] for one in covered if one in self.names} - {name}
            yield Held(name, tuple(chain), tuple(sorted(also)), is_cycle)

    def _cycle(self, start: int) -> list[int]:
        """Return the shortest way from an object back to itself, or nothing."""
        came_from: dict[int, int] = {}
        todo = deque([start])
        while todo:
            node = todo.popleft()
            for child in self.below.get(node, ()):
                if child == start:
                    path = [start, node]
                    while path[-1] != start:
                        path.append(came_from[path[-1]])
                    return path[::-1]
                if child not in came_from:
                    came_from[child] = node
                    todo.append(child)
        return []

    def _steps(self, path: Sequence[int]) -> list[str]:
        """Return the places along a path, an instance and its namespace as one, then the name of its last object."""
        nodes = [self.nodes[node] for node in path]
        steps: list[str] = []
        for index, (holder, below) in enumerate(pairwise(nodes)):
            if index and holder is namespace(nodes[index - 1]):
                steps[-1] = f"{type(nodes[index - 1]).__qualname__}.{name_of(nodes[index], below)}"
            else:
                steps.append(place(holder, below))
        return [*steps, self.names[path[-1]]]


_OUT_OF_SIGHT = f"a holder out of sight: an extension module, or more than {MAX_LEVELS} levels away"
