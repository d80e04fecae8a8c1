"""Rules for agno's toolkit classes, checked at the start: a class that people might share is refused."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator, MutableMapping, MutableSequence, MutableSet
from weakref import WeakKeyDictionary

from agno.tools.toolkit import Toolkit as ForeignToolkit

from app.agno_bridge.declaration import ForeignDeclaration
from app.errors import SettingsError
from app.toolkits.code import names_in, variables_of
from app.toolkits.reach import can_carry
from app.toolkits.rules import refuse_shared_state

# Modules of agno's whose tools work on files or processes of the machine they run on.
_OF_THE_MACHINE = frozenset(
    f"agno.tools.{name}"
    for name in (
        "coding",
        "csv_toolkit",
        "docker",
        "docling",
        "duckdb",
        "file",
        "file.file",
        "file.generation",
        "file_generation",
        "local_file_system",
        "moviepy_video",
        "opencv",
        "pandas",
        "python",
        "shell",
        "visualization",
        "webbrowser",
        "workspace",
    )
)
_READ = "agno.tools."  # its code was read, and its version is pinned
_MUTABLE = (MutableMapping, MutableSequence, MutableSet)
_COPIED = frozenset({"default_scopes"})  # of agno's Google classes, which copy it
_CALLS = frozenset(
    {"docker", "eval", "exec", "multiprocessing", "runpy", "shutil", "subprocess", "system", "webbrowser"}
)


_reaches: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()  # an agent's toolkits are checked in each request


def reaches_machine(cls: type) -> str | None:
    """Return how a class reaches the machine, in words, or None."""
    if cls not in _reaches:
        _reaches[cls] = _reach_of(cls)
    return _reaches[cls]


def _reach_of(cls: type) -> str | None:
    for base in _own(cls):
        if base.__module__ in _OF_THE_MACHINE:
            return "works on files or processes of this machine"
        for function in _functions(base):
            if found := sorted(_CALLS & names_in(function.__code__)):
                return f"uses {', '.join(found)}"
    return None


def check_state(cls: type) -> None:
    """Pass when a class has no mutable attribute that all people would share.

    agno's own classes may have constants, in capitals: its code was read, and its version is pinned.

    Raises:
        SettingsError: It has one.
    """
    for base in _own(cls):
        constants = {name for name in vars(base) if name.isupper()} if base.__module__.startswith(_READ) else set()
        refuse_shared_state([base], _COPIED | constants)


def check_functions(cls: type) -> None:
    """Pass when no function of a class keeps anything for all people: in a default, a variable of a module or a cache.

    The functions of its package that it calls are looked at too. A collection whose name is in capitals counts as a
    constant in agno's own modules.

    Raises:
        SettingsError: One does.
    """
    seen: set[types.FunctionType] = set()
    todo = [function for base in _own(cls) for function in _functions(base)]
    for function in todo:
        if function in seen:
            continue
        seen.add(function)
        place = f"{cls.__qualname__} uses {function.__qualname__}, which"
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            if isinstance(value, _MUTABLE):
                raise SettingsError(
                    f"{place} has a {type(value).__name__} as a default that all people would share; use None instead"
                )
        for name, value in _variables(function, cls):
            is_read = function.__module__.startswith(_READ)
            is_constant = is_read and name.isupper() and (value or not isinstance(value, _MUTABLE))
            if can_carry(value) and not callable(value) and not is_constant:
                raise SettingsError(
                    f"{place} uses {name}, a {type(value).__name__} that all people would share; keep it in the "
                    "instance, or make it a tuple, a frozenset or a MappingProxyType"
                )
            inner = inspect.unwrap(value) if callable(value) else None
            if not isinstance(inner, types.FunctionType) or not _is_beside(inner.__module__, cls):
                continue
            if hasattr(value, "cache_clear") and not is_read:
                raise SettingsError(f"{place} uses {name}, which is cached for all people; keep it in the instance")
            todo.append(inner)


def _variables(function: types.FunctionType, cls: type) -> Iterator[tuple[str, object]]:
    """Yield what a function finds outside of it: variables that it names, of modules in the package and around it."""
    yield from variables_of(function, lambda module: _is_beside(module, cls))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is empty
            continue


def _is_beside(module: str, cls: type) -> bool:
    """Return whether a module is of a class's own package; of agno's, only the toolkits are looked at."""
    if cls.__module__.startswith(_READ):
        return module.startswith(_READ)
    return module.partition(".")[0] == cls.__module__.partition(".")[0]


def check_reach(cls: type, declared: ForeignDeclaration) -> bool:
    """Return whether a class reaches the machine, if the settings allow tools of it to.

    Raises:
        SettingsError: They name none.
    """
    reach = reaches_machine(cls)
    if reach is not None and not declared.allow_machine:
        raise SettingsError(
            f"{reach}, which everybody shares; name the tools that may do so in allow_machine, or use another class"
        )
    return reach is not None


GIVE_ARGUMENT = (
    "Give the argument that takes its place in `arguments`, such as access_token: {connection: github} for each "
    "person's own"
)


def check_environment(hidden: Iterable[str], remedy: str = GIVE_ARGUMENT) -> None:
    """Pass when a class has asked for no credential in the environment.

    Args:
        hidden: The variables that it asked for.
        remedy: A sentence that says what to do, without its full stop.

    Raises:
        SettingsError: It has; all people would act with it.
    """
    if names := sorted(hidden):
        raise SettingsError(
            f"reads {', '.join(names)} from the environment, which would be one identity for everybody. {remedy}; or, "
            f"if everybody may share it, write allow_environment: [{', '.join(names)}]"
        )


def _own(cls: type) -> Iterator[type]:
    """Yield a class and its bases, as far as they are not agno's base or Python's own."""
    for base in cls.__mro__:
        if base is ForeignToolkit:
            return
        if base is not object:
            yield base


def _functions(cls: type) -> Iterator[types.FunctionType]:
    for value in vars(cls).values():
        function = inspect.unwrap(value.__func__ if isinstance(value, staticmethod | classmethod) else value)
        if isinstance(function, types.FunctionType):
            yield function
