"""Finds what two instances of a class can both reach, in objects of any library, and gives each a copy of its own.

A library's clients may share an object of its modules, as Slack's share the handlers of their retries. Nothing that the
library's own code has put there is a person's, so each instance is given a copy. Anything else that is shared is
refused.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import re
import types
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, MutableSet, Set
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

_MUTABLE = (MutableMapping, MutableSequence, MutableSet)
_NOTHING_BELOW = (type, types.ModuleType, types.BuiltinFunctionType, types.CodeType, Enum, re.Pattern)
_SIMPLE = (str, bytes, int, float, complex, type(None), range)
# Modules whose objects belong to the process by design, or are Deputy's: they carry nothing of the code that uses them.
_OF_THE_PROCESS = ("app.", "inspect.", "sqlalchemy.event.", "sqlalchemy.util._immutabledict", "typing.")


class ReachStep(StrEnum):
    """How a value is reached from the one before it."""

    ATTRIBUTE = "attribute"
    ITEM = "item"
    WITHIN = "within"  # it cannot be replaced there


Path = tuple[tuple[ReachStep, Any], ...]


@dataclass(frozen=True, slots=True)
class CommonPlace:
    """A place in an instance where it reaches an object that another instance reaches too.

    Attributes:
        path: The steps from the instance, each with a name, a key or an index.
        kind: The class of the object.
        is_of_library: A library's object holds it, and not one of the class's own package.
    """

    path: Path
    kind: str
    is_of_library: bool

    def __str__(self) -> str:
        steps = [f".{name}" if step is ReachStep.ATTRIBUTE else "[...]" for step, name in self.path]
        return f"{''.join(steps)}, a {self.kind}"


def shared(one: object, other: object) -> Iterator[tuple[CommonPlace, object]]:
    """Yield the outermost places in `one` with an object that `other` reaches too and that could carry data, and it."""
    theirs = {id(value) for _, value, _ in _reached(other, frozenset())}
    for path, value, holder in _reached(one, theirs):
        if id(value) in theirs and can_carry(value):
            own = type(one).__module__.partition(".")[0]
            of_library = holder is not one and type(holder).__module__.partition(".")[0] not in (own, "builtins")
            yield CommonPlace(path, type(value).__qualname__, of_library), value


def part(instance: object, place: CommonPlace) -> None:
    """Put a copy at a place of a new instance, so that the object there is its own.

    Raises:
        Exception: It cannot be copied or replaced; what a library's classes raise is not known.
    """
    holder = at(instance, place.path[:-1])
    copied = copy.deepcopy(at(instance, place.path))
    step, name = place.path[-1]
    if step is ReachStep.ATTRIBUTE:
        setattr(holder, name, copied)
    else:
        holder[name] = copied


def at(instance: object, path: Path) -> Any:
    """Return what stands at the end of a path; raises as `part`."""
    found: Any = instance
    for step, name in path:
        found = getattr(found, name) if step is ReachStep.ATTRIBUTE else found[name]
    return found


def mentions(instance: object, text: str) -> bool:
    """Return whether an object reaches a string that holds this text."""
    return any(text in value for _, value, _ in _reached(instance, frozenset()) if isinstance(value, str))


_Reached = tuple[Path, object, object]  # the path, the value, and the instance that holds it


def _reached(start: object, theirs: Set[int]) -> Iterator[_Reached]:
    """Yield what an instance reaches; objects in `theirs` that could carry data are yielded, and not looked into."""
    seen = {id(start)}
    todo: deque[_Reached] = deque([((), start, start)])
    while todo:
        path, value, holder = todo.popleft()
        if path:
            yield path, value, holder
            if id(value) in theirs and can_carry(value):
                continue
        is_holder = not isinstance(value, (*_MUTABLE, Mapping, tuple, Set))
        for step, name, below in _parts(value):
            if id(below) not in seen:
                seen.add(id(below))
                todo.append(((*path, (step, name)), below, value if is_holder else holder))


def _parts(value: object) -> Iterator[tuple[ReachStep, Any, object]]:
    if isinstance(value, (*_NOTHING_BELOW, *_SIMPLE)) or _is_of_the_process(value):
        return
    for below in _within(value):
        yield ReachStep.WITHIN, None, below
    if isinstance(value, types.MethodType | functools.partial):
        return
    try:
        if isinstance(value, Mapping):
            yield from [(ReachStep.ITEM, key, below) for key, below in value.items()]
        elif isinstance(value, list):
            yield from [(ReachStep.ITEM, index, below) for index, below in enumerate(value)]
        elif isinstance(value, tuple | Set | deque):
            yield from [(ReachStep.WITHIN, None, below) for below in value]
        attributes = list(getattr(value, "__dict__", {}).items())
    except Exception:  # a library's own class; what it does not show is not looked into
        return
    yield from ((ReachStep.ATTRIBUTE, name, below) for name, below in attributes)
    for name, slot in _slots(type(value)):
        try:
            yield ReachStep.ATTRIBUTE, name, slot.__get__(value, type(value))
        except AttributeError:  # nothing is in it
            continue


def _within(value: object) -> Iterator[object]:
    """Yield what a function holds beside its code."""
    if isinstance(value, types.FunctionType):
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # it is empty
                continue
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())


def _slots(cls: type) -> Iterator[tuple[str, types.MemberDescriptorType]]:
    for base in cls.__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, types.MemberDescriptorType) and not base.__module__.startswith("builtins"):
                yield name, slot


def can_carry(value: object) -> bool:
    """Return whether data could be put into an object."""
    if isinstance(value, (*_NOTHING_BELOW, *_SIMPLE)) or _is_of_the_process(value):
        return False
    if isinstance(value, _MUTABLE):
        return True
    if isinstance(value, types.FunctionType | types.MethodType | functools.partial | types.MappingProxyType):
        return False  # what is below it counts
    parameters = getattr(value, "__dataclass_params__", None) if dataclasses.is_dataclass(value) else None
    if getattr(parameters, "frozen", False):
        return False
    return hasattr(value, "__dict__") or next(_slots(type(value)), None) is not None


def _is_of_the_process(value: object) -> bool:
    return isinstance(value, logging.Filterer) or f"{type(value).__module__}.".startswith(_OF_THE_PROCESS)
