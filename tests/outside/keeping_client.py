"""Toolkits that keep their Google client where the next request finds it, once a tool has run."""

from __future__ import annotations

import asyncio
from typing import ClassVar
from weakref import WeakValueDictionary

from app.google.client import GoogleClient
from app.toolkits.toolkit import Toolkit, tool

RELEASE: list[asyncio.Event] = []  # events that the tool awaits in its first request; set by a test

_client: GoogleClient | None = None
_clients: WeakValueDictionary[str, GoogleClient] = WeakValueDictionary()


async def _labels(client: GoogleClient) -> str:
    """List labels with this client."""
    labels = client.resource("gmail", "v1", "users", "labels")
    return str(await client.execute(labels.list(userId="me")))


class GlobalToolkit(Toolkit):
    """Keeps the client in a global variable of its module."""

    name = "globally"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google

    @tool(oauth_scopes=(), phrases=("look",))
    async def look(self) -> str:
        """Look at the labels."""
        global _client
        if _client is None:
            _client = self._google
            await _wait()
        return await _labels(_client)


class ClassToolkit(Toolkit):
    """Keeps the client in an attribute of its class."""

    name = "classwide"
    client: ClassVar[GoogleClient | None] = None

    def __init__(self, google: GoogleClient) -> None:
        self._google = google

    @tool(oauth_scopes=(), phrases=("look",))
    async def look(self) -> str:
        """Look at the labels."""
        if self.client is None:
            type(self).client = self._google
            await _wait()
        assert self.client is not None
        return await _labels(self.client)


class WeakToolkit(Toolkit):
    """Keeps the client weakly, so that it is freed after its request, and the proof finds nothing alive."""

    name = "weakly"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google

    @tool(oauth_scopes=(), phrases=("look",))
    async def look(self) -> str:
        """Look at the labels."""
        if "client" not in _clients:
            _clients["client"] = self._google
            await _wait()
        return await _labels(_clients["client"])


def forget() -> None:
    """Forget everything that was kept."""
    global _client
    _client = ClassToolkit.client = None
    _clients.clear()
    RELEASE.clear()


async def _wait() -> None:
    for release in RELEASE:
        await release.wait()


def kept() -> GoogleClient | None:
    """Return the client that any of the toolkits keeps now."""
    return _client or ClassToolkit.client or _clients.get("client")
