"""Starts the sandbox beside the server, and points the settings to it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.sections.google import EndpointSettings
from app.settings import Settings

if TYPE_CHECKING:
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


def configured_for_sandbox(settings: Settings) -> Settings:
    """Return the settings as they would be with the sandbox running, if they ask for it; not for serving."""
    if settings.google.mode != "sandbox":
        return settings
    return lead_to_sandbox(settings, f"http://127.0.0.1:{settings.google.sandbox.port}", "not running")
