"""How the connections of the settings become providers: of an OAuth client each, and of each person's access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dependency_injector import providers

from app.connections.connection import Connection
from app.credentials.consented import ConsentedTokens
from app.credentials.credentials import Credentials
from app.errors import ProviderError
from app.oauth.client import OAuthProvider
from app.oauth.description import ProviderDescription
from app.oauth.faults import FaultLog, cause_at_provider
from app.oauth.provider import GOOGLE
from app.oauth.token_endpoint import TokenEndpoint
from app.sections.connections import ConnectionSettings
from app.settings import Settings
from containers.application import Application, Once
from containers.scopes import Scoped
from interfaces.web.interface import callback_url

# The roots of the APIs in `app.google.apis.API_VERSIONS`, from their discovery documents.
GOOGLE_APIS = tuple(f"https://{host}.googleapis.com" for host in ("www", "docs", "gmail", "people", "sheets", "tasks"))


def add_connections(container: Application, settings: Settings) -> None:
    """Add an OAuth client and a scoped connection for each provider of the settings, and a connection for Google."""
    described = {name: each.described(name) for name, each in settings.connections.items()}
    add_accounts(container, {name: _client(container, settings, name, each) for name, each in described.items()})
    credentials = container.connection_credentials.providers
    google = (settings.google.api_root,) if settings.google.api_root else GOOGLE_APIS
    connections = {
        GOOGLE: _connection(container, container.credentials, google),
        **{name: _connection(container, credentials[name], each.api) for name, each in described.items()},
    }
    container.connections.set_providers(connections)


def add_accounts(container: Application, oauth_providers: Mapping[str, providers.Provider[Any]]) -> None:
    """Let people connect accounts at these providers, by name, beside those that are there already."""
    container.oauth_providers.add_kwargs(oauth_providers)
    tokens = {name: Once(ConsentedTokens, container.refresher, name) for name in oauth_providers}
    container.connection_tokens.set_providers({**container.connection_tokens.providers, **tokens})
    added = {
        name: Scoped(
            Credentials, container.principal, container.connection_tokens.providers[name], container.deadline, name
        )
        for name in oauth_providers
    }
    container.connection_credentials.set_providers({**container.connection_credentials.providers, **added})
    container.credentials_by_connection.add_kwargs(added)


def _client(
    container: Application, settings: Settings, name: str, description: ProviderDescription
) -> providers.Provider[OAuthProvider]:
    section: ConnectionSettings = settings.connections[name]
    faults = Once(FaultLog, providers.Object(cause_at_provider), description.title)
    return Once(
        OAuthProvider,
        name,
        providers.Object(description),
        client_id=section.client_id,
        client_secret=section.client_secret.get_secret_value() if section.client_secret else "",
        redirect_uri=callback_url(settings.server.public_url, name),
        token_endpoint=Once(TokenEndpoint, container.http, faults, description.title, providers.Object(ProviderError)),
        http=container.http,
    )


def _connection(
    container: Application, credentials: providers.Provider[Credentials], origins: tuple[str, ...]
) -> Scoped[Connection[Any]]:
    return Scoped(
        Connection,
        credentials,
        container.persons_http,
        container.audit_recorder,
        container.deadline,
        origins=origins,
    )
