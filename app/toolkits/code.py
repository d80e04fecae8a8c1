"""Reads what a function uses beside its arguments: the variables that its code names, and what a cache keeps."""

from __future__ import annotations

import gc
import os
import types
from collections.abc import Callable, Iterator


def variables_of(function: types.FunctionType, is_beside: Callable[[str], bool]) -> Iterator[tuple[str, object]]:
    """Yield the variables of modules that a function names, with their values.

    Args:
        function: The function.
        is_beside: Returns whether a module, by its name, is looked into; others count as a whole.
    """
    names = names_in(function.__code__)
    own = function.__globals__
    modules = [value for name in sorted(names & own.keys()) if isinstance(value := own[name], types.ModuleType)]
    beside = [vars(module) for module in modules if is_beside(module.__name__)]
    for variables in (own, *(each for each in beside if each is not own)):
        for name in sorted(names & variables.keys()):
            value = variables[name]
            if not isinstance(value, types.ModuleType) and value is not os.environ:  # which is watched
                yield name, value


def names_in(code: types.CodeType) -> set[str]:
    """Return the names that a function uses, and those of the functions in it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return names


def held_by_cache(cached: object) -> list[object]:
    """Return what a function of `functools.lru_cache` keeps: arguments and results, beside the function itself."""
    return gc.get_referents(cached)
