"""How one authorization server knows Deputy: by its metadata document, or by a registration for all processes."""

from __future__ import annotations

import asyncio
import logging
import time

import httpx2

from app.connections.discovery import Discovered
from app.connections.discovery_clients import DiscoveredClients, OAuthClient
from app.connections.discovery_registration import register
from app.errors import InvalidGrantError, ProviderError
from app.hosts import is_loopback
from app.log_once import LogOnce
from app.oauth.description import ClientAuthentication

log = logging.getLogger(__name__)

_WAIT_SECONDS = 30.0  # for another process that registers the client
_LOOK_AGAIN_SECONDS = 0.1

NOT_KNOWN = frozenset({"invalid_client", "unauthorized_client"})  # RFC 6749 section 5.2, of a client that was forgotten


class DiscoveryFaults:
    """Tells administrators of faults at an authorization server that they do not administer. Lives with the process."""

    def __init__(self) -> None:
        self._log_once = LogOnce(log)

    def notice(self, error: ProviderError, what: str) -> None:
        """Log an error; nothing has to be done about a client that was forgotten, because it is registered again."""
        if error.reason not in NOT_KNOWN and not isinstance(error, InvalidGrantError):
            self._log_once.warning((error.provider, error.reason, what), "%s", error)

    def notice_clock(self, date: str | None) -> None:
        """Do nothing: whose clock is wrong, nobody knows."""


class Introduction:
    """Introduces Deputy where one MCP server sends people to sign in. Lives as long as the process and is nobody's.

    Args:
        server: The server's name in the settings.
        title: Its name for people.
        clients: Keeps what was registered.
        redirect_uri: The URL to which browsers are sent back, this server's alone.
        document_url: The address of the client's metadata document.
        public_url: Where people reach Deputy.
        http: Keeps no cookies.
    """

    def __init__(
        self,
        server: str,
        title: str,
        clients: DiscoveredClients,
        *,
        redirect_uri: str,
        document_url: str,
        public_url: str,
        http: httpx2.AsyncClient,
    ) -> None:
        self.redirect_uri = redirect_uri
        self._server = server
        self._title = title
        self._clients = clients
        self._document_url = document_url
        self._public_url = public_url
        self._http = http

    def in_words(self, found: Discovered) -> str:
        """Return in words how Deputy says there who it is.

        Raises:
            ProviderError: There is no way.
        """
        if self._uses_document(found):
            return f"it knows this assistant by {self._document_url}"
        if found.registration:
            return "this assistant registers itself there"
        raise ProviderError(
            f"{self._title}: the authorization server {found.issuer} registers no clients. Make a client there by hand "
            f"with the redirect URI {self.redirect_uri}, describe it under `connections`, and write `connection:` with "
            f"its name in mcp.{self._server} instead of `oauth: discover`",
            status=200,
            provider=self._title,
        )

    async def client(self, found: Discovered, issuer: str) -> OAuthClient:
        """Return Deputy's client there; if necessary it is registered, by one process at a time.

        Args:
            found: The authorization server.
            issuer: Its identifier, as it is kept.

        Raises:
            ProviderError: The registration failed.
        """
        if self._uses_document(found):
            return OAuthClient(self._document_url, ClientAuthentication.NONE)
        ends = time.monotonic() + _WAIT_SECONDS
        while (client := await self._clients.find(self._server, issuer, self.redirect_uri)) is None:
            if time.monotonic() > ends:
                raise ProviderError(f"another process has not registered at {self._title} yet", provider=self._title)
            if (holder := await self._clients.begin(self._server)) is None:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                continue
            try:
                return await self._registered(found, issuer, holder)
            finally:
                await self._clients.end(self._server, holder)
        return client

    async def forget(self, client: OAuthClient) -> bool:
        """Forget a registration that its authorization server has forgotten; False for a client that is a document."""
        if client.client_id == self._document_url:
            return False
        await self._clients.forget(self._server, client.client_id)
        return True

    async def _registered(self, found: Discovered, issuer: str, holder: str) -> OAuthClient:
        before = await self._clients.find(self._server, issuer, self.redirect_uri)
        if before is not None:  # by whoever had the right a moment ago
            return before
        client = await register(
            self._http,
            found.registration,
            self._title,
            redirect_uri=self.redirect_uri,
            public_url=self._public_url,
            authentications=found.authentications,
        )
        if not await self._clients.keep(self._server, issuer, self.redirect_uri, client, holder):
            # Tokens of a client that only this process knows could be refreshed by no other one.
            raise ProviderError(f"another process has begun to register at {self._title}", provider=self._title)
        log.info("MCP server %s: a client is registered at %s", self._server, issuer)
        return client

    def _uses_document(self, found: Discovered) -> bool:
        """Return whether the client is its metadata document: the authorization server has to reach its address."""
        place = httpx2.URL(self._document_url)
        reaches = place.scheme == "https" or (is_loopback(place.host) and is_loopback(httpx2.URL(found.issuer).host))
        return found.takes_documents and reaches
