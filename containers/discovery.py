"""How MCP servers that say themselves where people sign in become providers of accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dependency_injector import providers

from app.errors import ProviderError
from app.oauth.provider import Provider
from app.oauth.token_endpoint import TokenEndpoint
from app.sections.mcp import McpSettings
from app.settings import Settings
from containers.application import Application, Once
from containers.connections import add_accounts
from interfaces.web.client_document import ClientDocuments, document_url
from interfaces.web.interface import callback_url

if TYPE_CHECKING:
    from app.connections.discovery_clients import DiscoveredClients


def add_discovered(container: Application, settings: Settings) -> None:
    """Add the authorization server of each MCP server with `oauth: discover`, as a provider with the server's name."""
    sections = {name: section for name, section in settings.mcp.items() if section.oauth is not None}
    if not sections:
        return
    from app.connections.discovery_clients import DiscoveredClients

    clients = Once(DiscoveredClients, container.database, container.key_ring)
    found = {name: _provider(container, settings, name, section, clients) for name, section in sections.items()}
    add_accounts(container, found)
    container.routes.add_args(Once(ClientDocuments, tuple(sections), settings.server.public_url))


def _provider(
    container: Application,
    settings: Settings,
    name: str,
    section: McpSettings,
    clients: providers.Provider[DiscoveredClients],
) -> providers.Provider[Provider]:
    from app.connections.discovery import Discovery
    from app.connections.discovery_introduction import DiscoveryFaults, Introduction
    from app.connections.discovery_network import DiscoveryTransport, open_discovery_client
    from app.connections.discovery_provider import DiscoveredProvider

    title = name.replace("_", " ").title()
    public_url = settings.server.public_url
    transport = Once(DiscoveryTransport, section.url)
    http = Once(open_discovery_client, transport)
    container.discovery_http.add_args(http)
    introduction = Once(
        Introduction,
        name,
        title,
        clients,
        redirect_uri=callback_url(public_url, name),
        document_url=document_url(public_url, name),
        public_url=public_url,
        http=http,
    )
    return Once(
        DiscoveredProvider,
        name,
        title,
        Once(Discovery, title, section.url, section.oauth_scopes, transport, http),
        clients,
        introduction,
        token_endpoint=Once(TokenEndpoint, http, Once(DiscoveryFaults), title, providers.Object(ProviderError)),
        http=http,
    )
