"""How the MCP servers of the settings become parts of the container, and their tools become toolkits."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from dependency_injector import providers

from app.errors import SettingsError
from app.mcp.server import McpServer
from app.sections.mcp import McpSettings
from app.settings import Settings
from containers.application import Application, Once
from containers.scopes import Scoped


def add_mcp(container: Application, settings: Settings) -> None:
    """Add each server's parts and its toolkit; without servers, nothing of MCP is imported.

    Raises:
        SettingsError: The MCP package is not installed, or another toolkit has the name of a server.
    """
    if not settings.mcp:
        return
    try:
        from app.mcp.catalogue import McpCatalogue
        from app.mcp.pins import Pins
        from app.mcp.session import SharedSession
        from app.mcp.toolkit import SharedMcpToolkit
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise SettingsError(
            "mcp: the package that speaks MCP is not installed; pip install 'deputy-assistant[mcp]'"
        ) from error
    pins = Once(Pins, container.database)
    parts: dict[str, providers.Provider[Any]] = {"pins": pins}
    toolkits: dict[str, providers.Provider[Any]] = {**container.toolkits.providers}
    for name, section in settings.mcp.items():
        if section.connection is not None:
            raise SettingsError(f"mcp.{name}.connection: a server for each person's own account is not possible yet")
        if other := next((each for each in (*toolkits, "ask") if _share_names(name, each)), None):
            raise SettingsError(
                f"mcp.{name}: its tools could have the same names as those of {other}; rename the server"
            )
        catalogue = Once(McpCatalogue, _server(name, section), pins)
        session = Once(SharedSession, catalogue)
        parts |= {f"{name}.catalogue": catalogue, f"{name}.session": session}
        container.mcp_sessions.add_args(session)
        toolkits[name] = Scoped(SharedMcpToolkit, session, catalogue, container.deadline)
    container.mcp.set_providers(parts)
    container.toolkits.set_providers(toolkits)


def _share_names(one: str, other: str) -> bool:
    """Return whether a tool of one could be called as a tool of the other; teams ask their members by ``ask_…``."""
    return f"{one}_".startswith(f"{other}_") or f"{other}_".startswith(f"{one}_")


def _server(name: str, section: McpSettings) -> McpServer:
    return McpServer(
        name=name,
        command=section.command,
        args=section.args,
        env=MappingProxyType({key: value.get_secret_value() for key, value in section.env.items()}),
        url=section.url,
        headers=MappingProxyType({key: value.get_secret_value() for key, value in section.headers.items()}),
        connection=section.connection,
        reads=section.reads,
        connect_seconds=section.connect_seconds,
        call_seconds=section.call_seconds,
        refresh_seconds=section.refresh_seconds,
        max_characters=section.max_characters,
    )
