"""Finds objects that two instances of one toolkit or agent share, and changes to a class."""

from __future__ import annotations

import dataclasses
import types
import weakref
from collections import deque
from collections.abc import Collection, Iterator, Mapping, MutableMapping, MutableSequence, MutableSet
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.google.client import GoogleClient

_COLLECTIONS = (MutableMapping, MutableSequence, MutableSet, deque)
_NEVER = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Enum, str, bytes, int, float)


@dataclass(frozen=True)
class ClassState:
    """The attributes of a class and its bases by name, with the objects that they are bound to."""

    attributes: Mapping[str, object]

    def changed(self, later: ClassState) -> set[str]:
        """Return the names that `later` binds to something else, or not at all."""
        both = self.attributes.keys() | later.attributes.keys()
        missing = object()
        return {name for name in both if self.attributes.get(name, missing) is not later.attributes.get(name, missing)}


def class_state(cls: type) -> ClassState:
    """Return the current attributes of a class and of its bases."""
    return ClassState(
        {f"{base.__qualname__}.{name}": value for base in cls.__mro__[:-1] for name, value in vars(base).items()}
    )


def shared(
    toolkit: object, results: object, other: object, other_results: object, packages: Collection[str] = ()
) -> Iterator[str]:
    """Describe each object that both toolkits, or the results of their tools, can reach and that could carry data.

    These are mutable collections, and instances of classes in the toolkit's own package. Objects of other classes, such
    as a logger or a shared client, are not looked into.

    Args:
        toolkit: One instance; it may also be an agent.
        results: The results of its tools.
        other: Another instance.
        other_results: The results of its tools.
        packages: Further packages whose instances are looked into.
    """
    own = frozenset({package_of(type(toolkit)), *packages})
    mine = _reached(toolkit, own) | _reached(results, own)
    theirs = _reached(other, own) | _reached(other_results, own)
    for address in mine.keys() & theirs.keys():
        yield mine[address][0]


def package_of(cls: type) -> str:
    """Return the name of the outermost package that a class is in."""
    return cls.__module__.partition(".")[0]


def _reached(start: Any, packages: Collection[str]) -> dict[int, tuple[str, object]]:
    found: dict[int, tuple[str, object]] = {}
    seen = {id(start)}
    todo: list[tuple[str, Any]] = list(_parts("", start, packages, is_start=True))
    for place, value in todo:
        if id(value) in seen:
            continue
        seen.add(id(value))
        if _can_carry(value, packages):
            found[id(value)] = (f"{place}, a {type(value).__qualname__}", value)
        todo += _parts(place, value, packages)
    return found


def _values(value: Mapping[Any, Any]) -> list[Any]:
    try:
        return list(value.values())
    except Exception:  # a library's own mapping, such as one that cannot be iterated safely
        return []


def _can_carry(value: object, packages: Collection[str]) -> bool:
    if isinstance(value, _NEVER):
        return False
    if isinstance(value, (*_COLLECTIONS, GoogleClient)):
        return True
    parameters = getattr(value, "__dataclass_params__", None) if dataclasses.is_dataclass(value) else None
    return package_of(type(value)) in packages and not getattr(parameters, "frozen", False)


def _parts(place: str, value: Any, packages: Collection[str], *, is_start: bool = False) -> Iterator[tuple[str, Any]]:
    if isinstance(value, weakref.ref):
        yield f"{place}()", value()
    elif isinstance(value, types.MethodType):
        yield f"{place}.__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        yield from ((f"a variable of {place}", part) for part in _enclosed(value))
    elif isinstance(value, Mapping):
        yield from ((f"{place}[...]", part) for part in _values(value))
    elif isinstance(value, list | tuple | set | frozenset | deque | weakref.WeakSet):
        yield from ((f"{place or 'a result'}[...]" if place else "a result", part) for part in list(value))
    elif is_start or (package_of(type(value)) in packages and not isinstance(value, _NEVER)):
        for name, part in vars(value).items() if hasattr(value, "__dict__") else ():
            yield f"{place or type(value).__qualname__}.{name}", part


def _enclosed(function: types.FunctionType) -> Iterator[object]:
    """Yield what a function keeps of the functions around it."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # the variable has no value yet
            yield cell.cell_contents
