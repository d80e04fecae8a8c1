"""How the connections of the settings become scoped providers."""

from __future__ import annotations

from typing import Any

from dependency_injector import providers

from app.connections.connection import Connection
from app.credentials.consented import ConsentedTokens
from app.credentials.credentials import GOOGLE, Credentials
from app.settings import Settings
from containers.application import Application, Once
from containers.scopes import Scoped

# The roots of the APIs in `app.google.apis.API_VERSIONS`, from their discovery documents.
GOOGLE_APIS = tuple(f"https://{host}.googleapis.com" for host in ("www", "docs", "gmail", "people", "sheets", "tasks"))


def add_connections(container: Application, settings: Settings) -> None:
    """Add a scoped connection for each provider of the settings, and for Google."""
    tokens = {name: Once(ConsentedTokens, container.refresher, name) for name in settings.connections}
    container.connection_tokens.set_providers(tokens)
    credentials = {
        name: Scoped(Credentials, container.principal, source, container.deadline, name)
        for name, source in container.connection_tokens.providers.items()
    }
    container.connection_credentials.set_providers(credentials)
    container.credentials_by_connection.add_kwargs(credentials)
    google = (settings.google.api_root,) if settings.google.api_root else GOOGLE_APIS
    connections = {
        GOOGLE: _connection(container, container.credentials, google),
        **{name: _connection(container, credentials[name], each.api) for name, each in settings.connections.items()},
    }
    container.connections.set_providers(connections)


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
