"""Says where an object is, as the steps that lead to it, and puts a copy there."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ReachStep(StrEnum):
    """How a value is reached from the one before it."""

    ATTRIBUTE = "attribute"
    ITEM = "item"
    VARIABLE = "variable"  # of the module that a function is in
    WITHIN = "within"  # it cannot be replaced there


Path = tuple[tuple[ReachStep, Any], ...]


@dataclass(frozen=True, slots=True)
class CommonPlace:
    """A place where an object is that others reach too.

    Attributes:
        start: The name of the class that the path begins at.
        path: The steps from there, each with a name, a key or an index.
        kind: The class of the object.
        is_of_library: A library's object holds it, and not one of the class's own package.
    """

    start: str
    path: Path
    kind: str
    is_of_library: bool = False

    def __str__(self) -> str:
        written = {ReachStep.ATTRIBUTE: ".{}", ReachStep.VARIABLE: " and its variable {}"}
        steps = [written.get(step, "[...]").format(name) for step, name in self.path]
        return f"{self.start}{''.join(steps)}, a {self.kind}"


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
