"""Starts the sandboxes beside the server, and points the settings to them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.sections.google import EndpointSettings
from app.settings import Settings

if TYPE_CHECKING:
    from app.sandbox.github import GitHubSandbox
    from app.sandbox.google.sandbox import GoogleSandbox

CLIENT_ID = "deputy.sandbox"


def lead_to_sandbox(settings: Settings, base_url: str, client_secret: str) -> Settings:
    """Return the settings with all of Google's addresses, and the OAuth client, replaced by the sandbox's."""
    endpoints = EndpointSettings(
        authorize=f"{base_url}/o/oauth2/v2/auth",
        token=f"{base_url}/token",
        revoke=f"{base_url}/revoke",
        certs=f"{base_url}/oauth2/v1/certs",
        issuer=base_url,
    )
    google = settings.google.model_copy(
        update={
            "client_id": CLIENT_ID,
            "client_secret": SecretStr(client_secret),
            "endpoints": endpoints,
            "api_root": f"{base_url}/",
        }
    )
    return settings.model_copy(update={"google": google})


@asynccontextmanager
async def attached_sandbox(
    settings: Settings, redirect_uri: str, *, marked: bool = False
) -> AsyncIterator[tuple[Settings, GoogleSandbox | None]]:
    """Run the sandbox while the context lasts, if the settings ask for it; yield the settings to use.

    Args:
        settings: The settings as loaded.
        redirect_uri: The URL of this server's callback for consents.
        marked: Whether the mails hold markers, as `GoogleSandbox` describes.

    Raises:
        OSError: The sandbox's port is taken.
    """
    if settings.google.mode != "sandbox":
        yield settings, None
        return
    from app.sandbox.google.sandbox import GoogleSandbox  # a server for the real Google starts without the sandbox
    from app.sandbox.server import serve_loopback

    client_secret = secrets.token_urlsafe(32)
    sandbox = GoogleSandbox(
        client_id=CLIENT_ID, client_secret=client_secret, redirect_uris=frozenset({redirect_uri}), marked=marked
    )
    async with serve_loopback(sandbox.app, settings.google.sandbox.port) as base_url:
        yield lead_to_sandbox(settings, base_url, client_secret), sandbox


def lead_to_github(
    settings: Settings, name: str, base_url: str, client_secret: str, client_id: str = CLIENT_ID
) -> Settings:
    """Return the settings with the addresses of a connection, and its OAuth client, replaced by a sandbox's."""
    moved = settings.connections[name].at(base_url, client_id=client_id, client_secret=SecretStr(client_secret))
    return settings.model_copy(update={"connections": {**settings.connections, name: moved}})


def github_ports(settings: Settings) -> dict[str, int]:
    """Return the ports of the simulated GitHubs that the settings ask for, by the connection's name."""
    ports = {name: section.sandbox_port for name, section in settings.connections.items()}
    return {name: port for name, port in ports.items() if port is not None}


@asynccontextmanager
async def attached_github(
    settings: Settings, name: str, redirect_uri: str, *, marked: bool = False
) -> AsyncIterator[tuple[Settings, GitHubSandbox]]:
    """Run the simulated GitHub of a connection while the context lasts; yield the settings to use.

    Args:
        settings: The settings as loaded, or as another sandbox has changed them.
        name: The connection; it has a `sandbox_port`.
        redirect_uri: The URL of this server's callback for consents at this connection.
        marked: Whether each issue has a marker.

    Raises:
        OSError: The sandbox's port is taken.
    """
    from app.sandbox.github import GitHubSandbox
    from app.sandbox.server import serve_loopback

    client_secret = secrets.token_urlsafe(32)
    sandbox = GitHubSandbox(client_id=CLIENT_ID, client_secret=client_secret, redirect_uri=redirect_uri, marked=marked)
    async with serve_loopback(sandbox, settings.connections[name].sandbox_port or 0) as base_url:
        yield lead_to_github(settings, name, base_url, client_secret), sandbox


def configured_for_sandbox(settings: Settings) -> Settings:
    """Return the settings as they would be with their sandboxes running; not for serving."""
    for name, port in github_ports(settings).items():
        settings = lead_to_github(settings, name, f"http://127.0.0.1:{port}", "not running")
    if settings.google.mode != "sandbox":
        return settings
    return lead_to_sandbox(settings, f"http://127.0.0.1:{settings.google.sandbox.port}", "not running")
