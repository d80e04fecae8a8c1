"""The whole app within a test's process, and people who write to it over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from app.main import create_app, running
from app.principal import Principal
from app.settings import Settings
from containers.application import Application
from containers.build import build

PATIENCE_SECONDS = 20.0


class AppClient:
    """Lets people use an app over HTTP, each with their own bearer token.

    Attributes:
        client: Sends requests to the app; follows no redirects.
        container: The app's container.
    """

    def __init__(self, client: httpx2.AsyncClient, container: Application) -> None:
        self.client = client
        self.container = container
        self._tokens: dict[Principal, str] = {}

    async def bearer(self, principal: Principal) -> dict[str, str]:
        """Return the header that carries this person's token."""
        if principal not in self._tokens:
            self._tokens[principal] = await self.container.api_tokens().issue(principal, label="test")
        return {"Authorization": f"Bearer {self._tokens[principal]}"}

    async def ask(self, principal: Principal, text: str, **body: Any) -> httpx2.Response:
        """Post a message, and wait for its answer as long as the settings say."""
        body = {"conversation": "main", "text": text, **body}
        return await self.client.post("/v1/messages", json=body, headers=await self.bearer(principal))

    async def told(self, principal: Principal, message_id: str, wait: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Return the state of a message once it has ended, or when `wait` seconds have passed."""
        headers = await self.bearer(principal)
        response = await self.client.get(f"/v1/messages/{message_id}", params={"wait": wait}, headers=headers)
        told: dict[str, Any] = response.raise_for_status().json()
        return told


@asynccontextmanager
async def open_test_app(
    settings: Settings, prepare: Callable[[Application], object] = lambda _: None
) -> AsyncIterator[AppClient]:
    """Run the app with these settings over ASGI: proven, with its worker running, without a socket.

    An error that escapes the app is raised in the test.

    Args:
        settings: Settings such as those of `settings_in`.
        prepare: Called with the container before anything is built, to override providers.

    Raises:
        SettingsError: A toolkit cannot be used, or a model cannot be set up.
        LifetimeError: The proof failed.
    """
    container = build(settings)
    prepare(container)
    ready = asyncio.Event()
    ready.set()
    async with running(container, settings):
        transport = httpx2.ASGITransport(create_app(container, settings, ready))
        async with httpx2.AsyncClient(transport=transport, base_url="http://deputy.test") as client:
            yield AppClient(client, container)
