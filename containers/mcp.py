"""How the MCP servers of the settings become parts of the container, and their tools become toolkits."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from dependency_injector import providers

from app.connections.connection import Connection
from app.credentials.credentials import Credentials
from app.errors import SettingsError
from app.mcp.server import McpServer
from app.oauth.provider import GOOGLE
from app.sections.mcp import McpSettings
from app.settings import Settings
from containers.application import Application, Once
from containers.scopes import Scoped
from containers.toolkits import BUILT_IN


def add_mcp(container: Application, settings: Settings) -> None:
    """Add each server's parts and its toolkit; without servers, nothing of MCP is imported.

    Raises:
        SettingsError: The MCP package is not installed, or another toolkit has the name of a server.
    """
    if not settings.mcp:
        return
    try:
        from app.mcp.catalogue import McpCatalogue
        from app.mcp.personal import PersonalSession
        from app.mcp.pins import Pins
        from app.mcp.session import PinnedTools, SharedSession
        from app.mcp.toolkit import PersonalMcpToolkit, SharedMcpToolkit
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
        if other := next(
            (each for each in dict.fromkeys((*BUILT_IN, *toolkits, "ask")) if _share_names(name, each)), None
        ):
            raise SettingsError(
                f"mcp.{name}: its tools could have the same names as those of {other}; rename the server"
            )
        catalogue = Once(McpCatalogue, _server(name, section), pins)
        parts[f"{name}.catalogue"] = catalogue
        if not section.knows_people:
            shared = Once(SharedSession, catalogue)
            parts[f"{name}.session"] = shared
            container.mcp_sessions.add_args(shared)
            toolkits[name] = Scoped(SharedMcpToolkit, shared, catalogue, container.deadline)
        else:
            connection: Scoped[Connection[Any]] = Scoped(
                Connection,
                _credentials(container, name, section.connection or name),
                container.persons_http,
                container.audit_recorder,
                container.deadline,
                origins=(section.url,),
            )
            personal = Scoped(PersonalSession, container.principal, catalogue, connection)
            parts |= {f"{name}.connection": connection, f"{name}.session": personal}
            container.mcp_sessions.add_args(Once(PinnedTools, catalogue))
            toolkits[name] = Scoped(PersonalMcpToolkit, personal, catalogue, container.deadline)
    container.mcp.set_providers(parts)
    container.toolkits.set_providers(toolkits)


def _share_names(one: str, other: str) -> bool:
    """Return whether a tool of one could be called as a tool of the other; teams ask their members by ``ask_…``."""
    return f"{one}_".startswith(f"{other}_") or f"{other}_".startswith(f"{one}_")


def _credentials(container: Application, server: str, connection: str) -> providers.Provider[Credentials]:
    if connection == GOOGLE:
        return container.credentials
    known = container.connection_credentials.providers
    if connection not in known:
        has = ", ".join(sorted((GOOGLE, *known)))
        raise SettingsError(f"mcp.{server}.connection: there is no connection {connection!r}; there are: {has}")
    return known[connection]


def _server(name: str, section: McpSettings) -> McpServer:
    return McpServer(
        name=name,
        command=section.command,
        args=section.args,
        env=MappingProxyType({key: value.get_secret_value() for key, value in section.env.items()}),
        url=section.url,
        headers=MappingProxyType({key: value.get_secret_value() for key, value in section.headers.items()}),
        connection=name if section.oauth else section.connection,
        discovers=section.oauth is not None,
        oauth_scopes=section.oauth_scopes,
        reads=section.reads,
        connect_seconds=section.connect_seconds,
        call_seconds=section.call_seconds,
        refresh_seconds=section.refresh_seconds,
        max_characters=section.max_characters,
    )
