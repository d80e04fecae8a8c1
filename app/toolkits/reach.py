"""Walks from an object to all that it reaches, to find what two people's requests share and what is kept of one.

Objects of any library are looked into, or only those of some packages. A library's clients may share an object of its
modules, as Slack's share the handlers of their retries. Nothing that the library's own code has put there is a
person's, so each instance is given a copy of it. Anything else that is shared is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import inspect
import logging
import re
import types
import weakref
from array import array
from collections import deque
from collections.abc import Collection, Iterator, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.connections.connection import Connection
from app.google.client import GoogleClient
from app.principal import Principal
from app.toolkits.code import held_by_cache, variables_of
from app.toolkits.contents import (
    attributes_of,
    bases_of,
    filled_slots_of,
    is_a,
    members_of,
    pairs_of,
    shows_referents,
    slots_of,
)
from app.toolkits.place import CommonPlace, Path, ReachStep

_MUTABLE = (MutableMapping, MutableSequence, MutableSet, deque, weakref.WeakSet)
_CONTAINERS = (*_MUTABLE, Mapping, tuple, Set)
_NOTHING_BELOW = (types.ModuleType, types.CodeType, Enum, re.Pattern)
_SIMPLE = (str, bytes, int, float, complex, type(None), range)
_FLAT = (bytearray, memoryview, array)  # data can be put into them, and no objects
_BOUND = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)
_TRANSPARENT = (
    *(*_BOUND, types.FunctionType, types.MappingProxyType, functools.partial, functools.partialmethod),
    *(staticmethod, classmethod, property, weakref.ref),
)  # what is below them counts
_RUNNING = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
_OF_A_PERSON = (GoogleClient, Connection)
# Modules whose objects belong to the process by design, or are Deputy's: they carry nothing of the code that uses them.
_OF_THE_PROCESS = ("app", "inspect", "sqlalchemy.event", "sqlalchemy.util._immutabledict_cy", "typing")

HIDDEN_TO_FIX = "keep a tool's data in ordinary attributes, or make the object in the tool that uses it"

Packages = Collection[str]


class HiddenError(Exception):
    """An object cannot be looked into, so that nobody knows whether it holds something of a person.

    Attributes:
        place: Where it is.
    """

    def __init__(self, place: CommonPlace) -> None:
        super().__init__(f"{place}, cannot be looked into, so nobody knows whose data is in it")
        self.place = place


@dataclass(frozen=True, slots=True)
class _Lens:
    """The limits of a walk.

    Attributes:
        packages: Only instances of classes in these; None if those of any library.
        weak: Weak references are followed.
        everybodys: Classes and the variables of modules are looked into, as far as they are in the packages.
    """

    packages: Packages | None = None
    weak: bool = True
    everybodys: bool = False

    def covers(self, module: str | None) -> bool:
        return self.packages is not None and is_within(module, self.packages)


def is_within(module: str | None, packages: Packages) -> bool:
    """Return whether a module is one of these packages, or in one."""
    return f"{module}.".startswith(tuple(f"{package}." for package in packages))


def package_of(cls: type) -> str:
    """Return the name of the outermost package that a class is in."""
    return cls.__module__.partition(".")[0]


def shared(
    one: object, other: object, results: tuple[object, object] = ((), ()), packages: Packages | None = None
) -> Iterator[tuple[CommonPlace, object]]:
    """Yield the outermost places in `one` with an object that `other` reaches too and that could carry data, and it.

    Args:
        one: An instance of somebody's request.
        other: The same of somebody else's.
        results: The values that each of the two requests has returned.
        packages: Only instances of classes in these, and in the class's own, are looked into.
    """
    own = package_of(type(one))
    lens = _Lens(packages if packages is None else {own, *packages}, weak=packages is not None)
    theirs = {id(value): value for start in (other, results[1]) for _, value, _ in _reached(start, lens)}
    for start, name in ((one, type(one).__qualname__), (results[0], "a result")):
        for path, value, holder in _reached(start, lens, theirs.keys()):
            if id(value) in theirs and can_carry(value, lens.packages):
                of_library = holder is not start and package_of(type(holder)) not in (own, "builtins")
                yield CommonPlace(name, path, type(value).__qualname__, of_library), value


def kept_of_request(cls: type, request: Sequence[object], text: str, packages: Packages) -> Iterator[CommonPlace]:
    """Yield each place that all instances of a class reach and that holds something of one request.

    These are attributes of classes, descriptors, caches, and variables of modules that functions use.

    Args:
        cls: The class.
        request: The objects that belong to the request.
        text: A text that everything of the person holds.
        packages: The packages whose classes and modules are looked into.
    """
    lens = _Lens(packages)
    own = {id(start): start for start in request}
    for start in request:
        own |= {id(value): value for _, value, _ in _reached(start, lens) if can_carry(value, packages)}
    for path, value, _ in _reached(cls, dataclasses.replace(lens, everybodys=True)):
        if id(value) in own or is_a(value, *_OF_A_PERSON) or (is_a(value, str) and text in str.__str__(value)):
            yield CommonPlace(cls.__qualname__, path, type(value).__qualname__)


def mentions(instance: object, text: str) -> bool:
    """Return whether an object reaches a string that holds this text."""
    return any(is_a(value, str) and text in str.__str__(value) for _, value, _ in _reached(instance, _Lens()))


_Reached = tuple[Path, object, object]  # the path, the value, and the instance that holds it


def _reached(start: object, lens: _Lens, theirs: Collection[int] = ()) -> Iterator[_Reached]:
    """Yield what an object reaches; objects in `theirs` that could carry data are yielded, and not looked into."""
    seen = {id(start): start}
    todo: deque[_Reached] = deque([((), start, start)])
    while todo:
        path, value, holder = todo.popleft()
        if path:
            yield path, value, holder
            if id(value) in theirs and can_carry(value, lens.packages):
                continue
        below_of = holder if is_a(value, *_CONTAINERS) else value
        try:
            parts = list(_parts(value, lens, is_start=not path))
        except Exception:  # its class can be anybody's; the error could quote what it holds
            raise HiddenError(CommonPlace(_name_of(start), path, type(value).__qualname__)) from None
        for step, name, below in parts:
            if id(below) not in seen:
                seen[id(below)] = below
                todo.append(((*path, (step, name)), below, below_of))


def _name_of(start: object) -> str:
    return start.__qualname__ if isinstance(start, type) else type(start).__qualname__


_Parts = Iterator[tuple[ReachStep, Any, object]]


def _parts(value: Any, lens: _Lens, *, is_start: bool) -> _Parts:
    if is_a(value, *_NOTHING_BELOW, *_FLAT) or _is_of_the_process(value, lens.packages):
        return
    if is_a(value, *_SIMPLE) and not _has_room(value):
        return
    if is_a(value, type):
        yield from _of_class(value, lens)
        return
    if is_a(value, *_BOUND):
        yield ReachStep.ATTRIBUTE, "__self__", value.__self__
    for below in _within(value, lens):
        yield ReachStep.WITHIN, None, below
    if is_a(value, types.FunctionType):
        for name, below in _variables(value, lens):
            yield ReachStep.VARIABLE, name, below
    if is_a(value, *_BOUND, functools.partial, functools.partialmethod, property, weakref.ref):
        return
    is_open = is_start or lens.packages is None or is_a(value, Principal) or lens.covers(type(value).__module__)
    yield from _items(value, is_open=is_open)
    if is_open or is_a(value, types.FunctionType):
        yield from [(ReachStep.ATTRIBUTE, *each) for each in attributes_of(value)]
    if is_open:
        yield from [(ReachStep.ATTRIBUTE, *each) for each in filled_slots_of(value)]
        if not is_a(value, types.FunctionType):
            yield from [(ReachStep.WITHIN, None, below) for below in gc.get_referents(value)]


def _items(value: object, *, is_open: bool) -> _Parts:
    try:
        yield from list(_shown(value))
    except Exception:
        if not (is_open and shows_referents(value)):  # then all that it could have shown is yielded as well
            raise


def _shown(value: object) -> _Parts:
    for key, below in pairs_of(value):
        yield ReachStep.WITHIN, None, key
        yield ReachStep.ITEM, key, below
    for index, below in enumerate(members_of(value)):
        yield (ReachStep.ITEM, index, below) if is_a(value, list) else (ReachStep.WITHIN, None, below)


def _of_class(cls: type, lens: _Lens) -> _Parts:
    """Yield the attributes of a class and of its bases in the packages, which belong to everybody."""
    if lens.everybodys:
        for base, attributes in bases_of(cls):
            if lens.covers(base.__module__):
                yield from [(ReachStep.ATTRIBUTE, *each) for each in list(attributes.items())]


def _within(value: Any, lens: _Lens) -> Iterator[object]:
    """Yield what is below a function, a generator or a wrapper around one."""
    if is_a(value, types.FunctionType):
        yield from (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
    elif is_a(value, types.MethodType):
        yield value.__func__
    elif is_a(value, functools.partial, functools.partialmethod):
        yield from (value.func, *value.args, *value.keywords.values())
    elif is_a(value, staticmethod, classmethod):
        yield value.__func__
    elif is_a(value, property):
        yield from (value.fget, value.fset, value.fdel)
    elif is_a(value, weakref.ref):
        yield from (value(),) if lens.weak else ()
    elif is_a(value, *_RUNNING):
        frames = (getattr(value, name, None) for name in ("gi_frame", "cr_frame", "ag_frame"))
        yield from (below for frame in frames if frame is not None for below in frame.f_locals.values())
        yield from (getattr(value, name, None) for name in ("gi_yieldfrom", "cr_await", "ag_await"))
    elif lens.everybodys and inspect.getattr_static(value, "cache_clear", None) is not None:
        yield from held_by_cache(value)


def _variables(function: types.FunctionType, lens: _Lens) -> Iterator[tuple[str, object]]:
    """Yield the variables that a function finds outside of it: of functions around it, and everybody's of modules."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is empty
            continue
    if lens.everybodys and lens.covers(function.__module__):
        yield from variables_of(function, lens.covers)


def can_carry(value: object, packages: Packages | None = None) -> bool:
    """Return whether data could be put into an object, and, of a class outside these packages, is looked for there."""
    if is_a(value, *_OF_A_PERSON):
        return True
    if is_a(value, *_NOTHING_BELOW, *_SIMPLE, *_TRANSPARENT, type) or _is_of_the_process(value, packages):
        return False
    if is_a(value, *_MUTABLE, *_RUNNING):
        return True
    parameters = getattr(type(value), "__dataclass_params__", None) if dataclasses.is_dataclass(type(value)) else None
    if getattr(parameters, "frozen", False):
        return False
    if packages is not None:
        return is_within(type(value).__module__, packages)
    return _has_room(value)


def _has_room(value: object) -> bool:
    return type(value).__dictoffset__ != 0 or next(slots_of(type(value)), None) is not None


def _is_of_the_process(value: object, packages: Packages | None) -> bool:
    if is_a(value, logging.Filterer, Principal):
        return is_a(value, logging.Filterer)
    module = type(value).__module__
    return is_within(module, _OF_THE_PROCESS) and not (packages is not None and is_within(module, packages))
