"""Where a holder keeps an object, in words: ``dict['ada']``, ``list[0]``, ``Cache.items``.

The objects may be dead ones of a closed scope, whose every attribute raises: nothing here reads their attributes,
compares them or prints them.
"""

from __future__ import annotations

import functools
import sys
import types
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

MAX_KEY_LENGTH = 24  # characters of a dictionary's key that are shown; a longer text may be a secret

_OWN_MODULES = {f"{__package__}.{name}" for name in ("places", "holders", "lifetimes", "probe")}


def place(holder: Any, held: Any) -> str:
    """Return where in `holder` the object `held` is."""
    kind = type(holder)
    if issubclass(kind, dict):
        return f"{kind.__name__}[{key_of(holder, held)}]"
    if base := next((base for base in (list, tuple, deque) if issubclass(kind, base)), None):
        index = next((index for index, value in enumerate(base.__iter__(holder)) if value is held), "?")
        return f"{kind.__name__}[{index}]"
    if issubclass(kind, types.FunctionType | types.MethodType):
        return f"{kind.__name__} {holder.__qualname__}"
    if kind is types.FrameType:
        return f"local variable {name_of(holder.f_locals, held)} of {holder.f_code.co_qualname}"
    if kind in _SUSPENDED:
        frame = getattr(holder, _SUSPENDED[kind])
        return f"local variable {name_of(frame.f_locals if frame else {}, held)} of {holder.__qualname__}"
    if kind in _PLAIN:
        return _PLAIN[kind]
    for name, value in _attributes(holder):
        if value is held:
            return f"{kind.__qualname__}.{name}"
    return kind.__qualname__


_SUSPENDED = {types.CoroutineType: "cr_frame", types.GeneratorType: "gi_frame", types.AsyncGeneratorType: "ag_frame"}
_PLAIN = {
    types.CellType: "closure",
    types.TracebackType: "traceback",
    functools.partial: "partial",
    type(functools.lru_cache(len)): "lru_cache",
}


def key_of(mapping: dict[Any, Any], held: Any) -> str:
    """Return the key under which a dictionary holds an object; only a short text or a number is shown."""
    for key, value in dict.items(mapping):
        if key is held:
            return "a key"
        if value is held:
            shown = type(key) is int or (type(key) is str and len(key) <= MAX_KEY_LENGTH)
            return repr(key) if shown else type(key).__qualname__
    return "?"


def name_of(namespace: dict[str, Any], held: Any) -> str:
    """Return the name under which a module, a class or an instance holds an object."""
    return next((name for name, value in dict.items(namespace) if value is held), "?")


def namespace(holder: Any) -> dict[str, Any] | None:
    """Return the dictionary of an object's attributes, or None."""
    try:
        return object.__getattribute__(holder, "__dict__")  # type: ignore[no-any-return]
    except AttributeError:
        return None


def local_variables(wanted: Collection[int]) -> Iterator[tuple[str, int]]:
    """Yield the name and value id of each local variable, in any thread, whose value's id is wanted."""
    for thread, innermost in sys._current_frames().items():
        frame: types.FrameType | None = innermost
        while frame is not None:
            if frame.f_globals.get("__name__") not in _OWN_MODULES:
                for name, value in frame.f_locals.items():
                    if id(value) in wanted:
                        yield (
                            f"local variable {name} of {frame.f_code.co_qualname}, running in thread {thread}",
                            id(value),
                        )
            frame = frame.f_back


def is_own_frame(holder: object) -> bool:
    """Return whether an object is a frame of the proof itself; a debugger or a coverage tracer makes them visible."""
    return type(holder) is types.FrameType and holder.f_globals.get("__name__") in _OWN_MODULES


def _attributes(holder: Any) -> Iterator[tuple[str, Any]]:
    yield from (namespace(holder) or {}).items()
    for parent in type(holder).__mro__:
        for name, member in vars(parent).items():
            if type(member) is types.MemberDescriptorType:
                try:
                    yield name, member.__get__(holder)
                except AttributeError:
                    continue  # a slot that is empty
