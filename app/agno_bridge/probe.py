"""Makes a Deputy toolkit class for one of agno's, after trying its instances: nobody's, and confined.

Two instances are built. They may share no object that can carry data, ask for no credential of the environment, reach
neither the network nor the machine, and have to be dead when they are taken apart, without the garbage collector. What
the objects of a library share among themselves is copied for each instance, if that is possible.
"""

from __future__ import annotations

import gc
import secrets
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from agno.tools.toolkit import Toolkit as ForeignToolkit

from app.agno_bridge.confinement import ConfinedError, Confinement
from app.agno_bridge.declaration import ForeignDeclaration
from app.agno_bridge.google import is_google, on_templates
from app.agno_bridge.instances import Blueprint, functions_of, load, take_apart
from app.agno_bridge.rules import check_environment, check_functions, check_reach, check_state
from app.agno_bridge.toolkit import ForeignToolkitAdapter
from app.agno_bridge.tools import foreign_tools
from app.errors import SettingsError
from app.toolkits.place import CommonPlace, part
from app.toolkits.reach import HIDDEN_TO_FIX, HiddenError, mentions, shared

_NOBODY = "nobody-"  # what the tokens begin with that instances are tried with


def toolkit_of(name: str, declared: ForeignDeclaration) -> type[ForeignToolkitAdapter]:
    """Return the toolkit class for a class of agno's.

    Args:
        name: The toolkit's name in the settings.
        declared: The class, as the settings declare it.

    Raises:
        SettingsError: The class is refused; the message completes "agno.tools.github:GithubTools …".
    """
    cls = load(declared.path)
    of_the_machine = check_reach(cls, declared)
    check_state(cls)
    check_functions(cls)
    google = is_google(cls)
    blueprint = Blueprint(
        cls=on_templates(cls) if google else cls,
        arguments=declared.arguments,
        confinement=Confinement(frozenset(declared.allow_environment), machine=bool(declared.allow_machine)),
        is_google=google,
    )
    one, other = _built(blueprint), _built(blueprint)
    try:
        scopes = tuple(getattr(one, "scopes", None) or ()) if google else ()
        tools = foreign_tools(name, functions_of(one), declared, scopes, of_the_machine=of_the_machine)
        blueprint = replace(blueprint, parted=_parted(one, other))
    finally:
        taken = [weakref.ref(one), weakref.ref(other)]
        with _collector_off():
            take_apart(one)
            take_apart(other)
            del one, other
            alive = [each for each in taken if each() is not None]
    if alive:
        raise SettingsError("stays alive when its request has ended: something beside the request holds its instances")
    namespace = {
        "__doc__": f"agno's {cls.__name__}, for one request.",
        "__module__": ForeignToolkitAdapter.__module__,
        "name": name,
        "blueprint": blueprint,
        "foreign": MappingProxyType({tool.spec.name: tool for tool in tools}),
    }
    return type(cls.__name__, (ForeignToolkitAdapter,), namespace, given=[tool.spec for tool in tools])


def _parted(one: ForeignToolkit, other: ForeignToolkit) -> tuple[CommonPlace, ...]:
    """Return the places where two instances share what is a library's, after giving each a copy.

    Raises:
        SettingsError: They share anything else, or what cannot be copied, or hold what cannot be looked into.
    """
    parted: list[CommonPlace] = []
    while (found := _first_shared(one, other)) is not None:  # another path may lead to the same object
        place, value = found
        try:
            if not place.is_of_library or place in parted or mentions(value, _NOBODY):
                break
            part(one, place)
            part(other, place)
        except Exception:  # it is a library's object
            break
        parted.append(place)
    if found is not None:
        raise SettingsError(f"has one object in all of its instances, so that people would share it: {found[0]}")
    return tuple(parted)


def _first_shared(one: ForeignToolkit, other: ForeignToolkit) -> tuple[CommonPlace, object] | None:
    try:
        return next(shared(one, other), None)
    except HiddenError as error:
        words = f"holds what nobody can judge: {error}; {HIDDEN_TO_FIX}"
    raise SettingsError(words)


def _built(blueprint: Blueprint) -> ForeignToolkit:
    """Return an instance that is nobody's.

    Raises:
        SettingsError: Its constructor fails, or reaches for what it may not.
    """
    tempfile.gettempdir()  # finds the folder with a file that it writes, once
    probe = replace(blueprint.confinement, network=False, hidden=set())
    connections = {each.connection for each in blueprint.arguments.values() if each.connection is not None}
    failure: str | None = None
    try:
        return blueprint.build({name: f"{_NOBODY}{secrets.token_hex(8)}" for name in connections}, probe)
    except ConfinedError as error:
        failure = f"has a constructor that reaches out: {error}"
    except (Exception, SystemExit) as error:  # it is somebody else's code; its text may quote an argument
        words = f": {error}" if isinstance(error, TypeError | ImportError) else ""
        failure = f"cannot be built with these arguments ({type(error).__name__}{words})"
    finally:
        if not blueprint.is_google:  # those are never asked for credentials of their own
            check_environment(probe.hidden)
    raise SettingsError(failure)


@contextmanager
def _collector_off() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
