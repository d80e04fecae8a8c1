"""The toolkits: those that are built in, and how a class becomes a scoped provider, built in or from outside."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from dependency_injector import providers

from app.deadline import Deadline
from app.errors import DeputyError, SettingsError
from app.google.client import GoogleClient
from app.principal import Principal
from app.toolkits.toolkit import Toolkit
from containers.application import Application
from containers.offers import NotOfferedError, Offers
from containers.scopes import Scoped

# By the name that agents use. A toolkit from outside stands in the settings in the same form.
BUILT_IN = {
    "gmail": "app.toolkits.gmail:GmailToolkit",
}


def toolkits(container: Application, outside: Mapping[str, str]) -> dict[str, providers.Provider[Any]]:
    """Return a scoped provider for each toolkit, built in or from outside, by its name.

    Raises:
        SettingsError: One from outside has the name of one that is built in, or cannot be used.
    """
    if taken := BUILT_IN.keys() & outside.keys():
        raise SettingsError(f"toolkits.{min(taken)}: a toolkit of this name is built in; take another one")
    offers = Offers({Principal: container.principal, Deadline: container.deadline, GoogleClient: container.google})
    return {name: _provider(name, path, offers) for name, path in (BUILT_IN | dict(outside)).items()}


def _provider(name: str, import_path: str, offers: Offers) -> Scoped[Any]:
    """Return a scoped provider of the toolkit class at ``package.module:Class``.

    Its constructor is given what its annotations ask for, by type, anew for each request.

    Args:
        name: The key in the settings; the class has to carry the same `name`, as its tools are called by it.
        import_path: Where the class is.
        offers: What a constructor may ask for.

    Raises:
        SettingsError: The class cannot be used; the message names it, its place in the settings and how to fix it.
    """
    place = f"toolkits.{name}: {import_path}"
    toolkit = _load(place, import_path)
    if toolkit.name != name:
        raise SettingsError(f"{place} has the name {toolkit.name!r}; use that as the key, so that its tools match it")
    if not toolkit.tools():
        raise SettingsError(f"{place} has no tools; mark at least one method with @tool")
    try:
        return Scoped(toolkit, **offers.arguments(toolkit))
    except NotOfferedError as error:
        raise SettingsError(f"{place}: its constructor {error}") from error


def toolkit_class(provider: providers.Provider[Any]) -> type[Toolkit]:
    """Return the class that a toolkit's provider makes."""
    assert isinstance(provider, Scoped)
    made = provider.cls
    assert issubclass(made, Toolkit)
    return made


def _load(place: str, import_path: str) -> type[Toolkit]:
    module, _, attribute = import_path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{place} cannot be imported: {error}. Is its package installed, or its folder on PYTHONPATH?"
        ) from error
    except DeputyError as error:  # a rule of Toolkit that the class breaks
        raise SettingsError(f"{place} is refused: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Toolkit) and found is not Toolkit):
        raise SettingsError(f"{place} is no toolkit; make it a class that inherits app.toolkits.toolkit.Toolkit")
    return found
