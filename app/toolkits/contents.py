"""Reads what an object holds without running its code: a proxy or a property could raise, or say something else."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator, Mapping, MutableSequence, Set
from typing import Any
from weakref import WeakSet

_HAS_GC = 1 << 14  # Py_TPFLAGS_HAVE_GC: the interpreter can list what an instance references
_DICT_OF_CLASS: Any = vars(type)["__dict__"]
_MRO: Any = vars(type)["__mro__"]


def is_a(value: object, *kinds: Any) -> bool:
    """Return whether an object is an instance of a class; what its own ``__class__`` says does not count."""
    return issubclass(type(value), kinds)


def bases_of(cls: type) -> Iterator[tuple[type, Mapping[str, Any]]]:
    """Yield a class and its bases, each with its attributes."""
    for base in _MRO.__get__(cls):
        yield base, _DICT_OF_CLASS.__get__(base)


def attributes_of(value: object) -> list[tuple[str, object]]:
    """Return the names and values of an instance's ``__dict__``; nothing of a class that hides it."""
    for _, attributes in bases_of(type(value)):
        if isinstance(own := attributes.get("__dict__"), types.GetSetDescriptorType):
            return list(dict.items(own.__get__(value)))
    return []


def slots_of(cls: type) -> Iterator[tuple[str, types.MemberDescriptorType]]:
    """Yield the slots of a class and of its bases."""
    for base, attributes in bases_of(cls):
        for name, slot in attributes.items():
            if isinstance(slot, types.MemberDescriptorType) and base.__module__ != "builtins":
                yield name, slot


def filled_slots_of(value: object) -> Iterator[tuple[str, object]]:
    """Yield the names and values of an instance's slots."""
    for name, slot in slots_of(type(value)):
        try:
            yield name, slot.__get__(value)
        except AttributeError:  # nothing is in it
            continue


def shows_referents(value: object) -> bool:
    """Return whether the interpreter knows all that an instance references, which C code can prevent."""
    return all(
        base.__basicsize__ <= object.__basicsize__ or bool(base.__flags__ & _HAS_GC)
        for base, _ in bases_of(type(value))
    )


def pairs_of(value: Any) -> list[tuple[object, object]]:
    """Return the keys and values of a mapping; none of anything else.

    Raises:
        Exception: It is not one of Python's own, and does not show them.
    """
    if is_a(value, dict):
        return list(dict.items(value))  # whatever a class derived from it does instead
    return list(value.items()) if is_a(value, Mapping) else []


def members_of(value: Any) -> list[object]:
    """Return what is in a collection; nothing of a mapping and of anything else.

    Raises:
        Exception: It is not one of Python's own, and does not show that.
    """
    for kind in (list, tuple, set, frozenset, deque):
        if is_a(value, kind):
            return list(kind.__iter__(value))
    return list(value) if is_a(value, Set, WeakSet, MutableSequence) else []
