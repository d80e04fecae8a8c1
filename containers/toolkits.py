"""The list of built-in toolkits, and how a toolkit class, built-in or external, becomes a scoped provider."""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal

from dependency_injector import providers

from app.agents.member_names import ask_name
from app.connections.connection import Connection
from app.deadline import Deadline
from app.errors import DeputyError, SettingsError
from app.google.client import GoogleClient
from app.principal import Principal
from app.sections.toolkits import AgnoToolkitSettings
from app.toolkits.toolkit import Toolkit
from app.toolkits.zones import PersonZone
from containers.agno_toolkits import agno_toolkit
from containers.application import Application
from containers.offers import NotOfferedError, Offers
from containers.scopes import Scoped

# By the name that agents use. The settings list external toolkits in the same form.
BUILT_IN = {
    "calendar": "app.toolkits.calendar:CalendarToolkit",
    "drive": "app.toolkits.drive:DriveToolkit",
    "gmail": "app.toolkits.gmail:GmailToolkit",
    "issues": "app.toolkits.issues:IssuesToolkit",
}
_NEEDS = {"issues": "github"}  # the connection without which a built-in toolkit cannot be made; not named: Google's

_OWN = ("app", "containers", "deputy", "interfaces")  # a project may have packages of the same names

# Where the frames of an import that failed are not the toolkit's: in Deputy, and in Python itself.
_ROOT = Path(__file__).parent.parent
_NOT_THEIRS = (*(f"{_ROOT / name}{os.sep}" for name in ("app", "containers")), os.path.dirname(os.__file__), "<frozen ")


def toolkits(
    container: Application, outside: Mapping[str, AgnoToolkitSettings | str], built_in: Set[str]
) -> dict[str, providers.Provider[Any]]:
    """Return a scoped provider for each toolkit, built-in and external, by name.

    Args:
        container: Has what their constructors ask for.
        outside: The external toolkits of the settings.
        built_in: The names of the built-in ones to import.

    Raises:
        SettingsError: An external toolkit has the name of a built-in one, or cannot be used.
    """
    if taken := BUILT_IN.keys() & outside.keys():
        raise SettingsError(f"toolkits.{min(taken)}: a built-in toolkit has this name; choose another one")
    offers = offers_of(container)
    known = container.connections.providers.keys()
    return {
        name: agno_toolkit(container, name, entry)
        if isinstance(entry, AgnoToolkitSettings)
        else _provider(name, entry, offers, known)
        for name, entry in ({name: BUILT_IN[name] for name in BUILT_IN if name in built_in} | dict(outside)).items()
    }


def usable(connections: Set[str]) -> frozenset[str]:
    """Return the names of the built-in toolkits that can be made with these connections and Google's."""
    return frozenset(name for name in BUILT_IN if name not in _NEEDS or _NEEDS[name] in connections)


def offers_of(container: Application) -> Offers:
    """Return what constructors of toolkits, and factories of agents, can ask for."""
    offers = Offers({Principal: container.principal, Deadline: container.deadline, GoogleClient: container.google})
    offers.add(PersonZone, container.person_zone)
    for name, connection in container.connections.providers.items():
        offers.add(Connection[Literal[name]], connection)  # type: ignore[valid-type]  # known from the settings alone
    return offers


def _provider(name: str, import_path: str, offers: Offers, connections: Set[str]) -> Scoped[Any]:
    """Return a scoped provider of the toolkit class at ``package.module:Class``.

    Its constructor's parameters are filled in by type, anew for each request.

    Args:
        name: The key in the settings; the class must have the same `name`, because its tools are named after it.
        import_path: Where the class is.
        offers: The objects that a constructor may ask for.
        connections: The connections of the settings, and Google's.

    Raises:
        SettingsError: The class cannot be used; the message names it and its place in the settings, and says how to
            fix it.
    """
    place = f"toolkits.{name}: {import_path}"
    toolkit = _load(place, import_path)
    if toolkit.name != name:
        raise SettingsError(f"{place} has the name {toolkit.name!r}; use that as the key, so that its tools match it")
    if unknown := sorted({spec.connection for spec in toolkit.tools().values() if spec.connection} - connections):
        raise SettingsError(f"{place} needs the connection {unknown[0]}; add it to `connections`")
    if not toolkit.tools():
        raise SettingsError(f"{place} has no tools; mark at least one method with @tool")
    try:
        return Scoped(toolkit, **offers.arguments(toolkit))
    except NotOfferedError as error:
        raise SettingsError(f"{place}: its constructor {error}") from error


def refuse_tools_of_one_name(
    agent: str, used: Mapping[str, providers.Provider[Any]], members: Sequence[str] = ()
) -> None:
    """Pass if no two tools of an agent have the same name, as far as they are known before anybody writes.

    Args:
        agent: The agent's name.
        used: Its toolkits, by name.
        members: The members of the team that it leads.

    Raises:
        SettingsError: Two have; the message names their places.
    """
    places = {ask_name(member): f"the member {member}" for member in members}
    for toolkit, provider in used.items():
        made = getattr(provider, "provides", None)
        for name in made.tools() if isinstance(made, type) and issubclass(made, Toolkit) else ():
            if (other := places.setdefault(name, f"the toolkit {toolkit}")) != f"the toolkit {toolkit}":
                raise SettingsError(
                    f"agents.{agent}: {other} and the toolkit {toolkit} both have a tool {name}; "
                    "rename one of them, or leave one out"
                )


def toolkit_class(provider: providers.Provider[Any]) -> type[Toolkit]:
    """Return the class that a toolkit's provider instantiates."""
    assert isinstance(provider, Scoped)
    made = provider.cls
    assert issubclass(made, Toolkit)
    return made


def _load(place: str, import_path: str) -> type[Toolkit]:
    name, _, attribute = import_path.partition(":")
    try:
        module = importlib.import_module(name)
    except DeputyError as error:  # a rule of Toolkit that the class breaks
        raise SettingsError(f"{place} is refused: {_at(error)}{error}") from error
    except (Exception, SystemExit) as error:  # the module is somebody else's, and may fail in every way
        raise SettingsError(f"{place} cannot be imported: {_at(error)}{_why(error)}") from error
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        raise SettingsError(f"{place} cannot be imported: {name} has no {attribute}") from error
    if not (inspect.isclass(found) and issubclass(found, Toolkit) and found is not Toolkit):
        raise SettingsError(f"{place} is not a toolkit; make it a class that inherits deputy.Toolkit")
    return found


def _at(error: BaseException) -> str:
    """Return the file and line of a toolkit's module where it fails, ``notes.py:12: ``, or "" if it was not found."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}: "
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_NOT_THEIRS)]
    own = [each for each in frames if "site-packages" not in each.filename] or frames
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def _why(error: BaseException) -> str:
    """Return what is wrong; the text only of errors that Python words, because another one may quote a secret."""
    if isinstance(error, ImportError) and (name := (error.name or "").partition(".")[0]) in _OWN:
        return f"{error}: in this process `{name}` is Deputy's own package; rename yours if you meant that one"
    if isinstance(error, ImportError):
        return f"{error}. Is its package installed, or its folder on PYTHONPATH?"
    if isinstance(error, SyntaxError):
        return error.msg
    text = f": {error}" if isinstance(error, NameError | AttributeError | TypeError) else ""
    return f"{type(error).__name__}{text}"
