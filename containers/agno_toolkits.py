"""How a toolkit class of agno's becomes a scoped provider; agno is imported only where the settings name one."""

from __future__ import annotations

from typing import Any

from dependency_injector import providers

from app.errors import DeputyError, SettingsError
from app.sections.toolkits import AgnoToolkitSettings
from containers.application import Application
from containers.scopes import Scoped


def agno_toolkit(container: Application, name: str, settings: AgnoToolkitSettings) -> Scoped[Any]:
    """Return a scoped provider of a toolkit that runs a class of agno's.

    Raises:
        SettingsError: agno is not installed, or the class cannot be shown to be one person's in each request.
    """
    place = f"toolkits.{name}: {settings.agno}"
    try:
        from app.agno_bridge.probe import toolkit_of
    except ImportError as error:
        raise SettingsError(
            f"{place} needs agno, which is not installed: pip install 'deputy-assistant[agno]'"
        ) from error
    try:
        made = toolkit_of(name, settings.declaration())
    except DeputyError as error:
        raise SettingsError(f"{place}: {error}") from error
    wanted = {each.connection for each in settings.arguments.values() if each.connection is not None}
    known = container.connections.providers
    if unknown := sorted(wanted - known.keys()):
        raise SettingsError(f"{place} needs the connection {unknown[0]}; add it to `connections`")
    return Scoped(
        made,
        container.principal,
        container.threads,
        container.deadline,
        providers.Dict({each: known[each] for each in sorted(wanted)}),
        **({"google": container.google} if made.blueprint.is_google else {}),
    )
