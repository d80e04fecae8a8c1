"""A connection that sends nothing: its client answers every call with text that only its own request can know."""

from __future__ import annotations

from typing import Any

import httpx2

from app.connections.connection import Around, Connection
from app.errors import ForeignRunError
from app.network import no_cookies
from app.principal import Principal
from app.run import current_run


class DryConnection(Connection[Any]):
    """Answers a toolkit's calls for a dry run. Lives for one request.

    Attributes:
        foreign: The calls that another request tried to make with this connection.
    """

    def __init__(self, principal: Principal, name: str) -> None:
        self._name = name
        self._run = current_run()
        self._marker = principal.user
        self._clients = []
        self.foreign: list[str] = []

    @property
    def name(self) -> str:
        """Return the connection's name."""
        return self._name

    @property
    def access_token(self) -> str:
        """Return a text that names the fictitious person."""
        self._check("access_token")
        return self._marker

    @property
    def credential_id(self) -> str:
        """Return a text that names the fictitious person."""
        return self._marker

    async def ensure(self, oauth_scopes: frozenset[str] = frozenset()) -> None:
        """Do nothing: the access is there."""

    def client(self, base_url: str = "", *, around: Around | None = None) -> httpx2.AsyncClient:
        """Return a client whose calls are all answered with the fictitious person's name."""
        del around
        made = httpx2.AsyncClient(
            base_url=base_url or "https://provider.invalid",  # in place of the provider's API
            transport=httpx2.MockTransport(self._answer),
            cookies=no_cookies(),
        )
        self._clients.append(made)
        return made

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self._check(f"{request.method} {request.url.host}")
        return httpx2.Response(200, json={"id": self._marker})

    def _check(self, call: str) -> None:
        try:
            self._run.check(f"The connection {self._name}")
        except ForeignRunError:
            self.foreign.append(call)
            raise
