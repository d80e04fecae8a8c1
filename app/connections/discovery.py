"""Who signs people in for an MCP server, as the server and its authorization server say themselves.

The server names its authorization server (RFC 9728) and that one describes itself (RFC 8414). All of it is a stranger's
word, so each step is checked against the step before, and nothing is asked inside this network.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from app.connections.discovery_network import DiscoveryTransport, check_reachable
from app.errors import ProviderError
from app.hosts import is_confidential
from app.oauth.challenge import Challenge, read_challenge, scopes_in
from app.oauth.description import ClientAuthentication, Endpoints
from app.oauth.metadata import ServerMetadata, fetch_document, fetch_metadata, is_same_issuer
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
_HEADERS = {"Accept": "application/json, text/event-stream"}
_METHODS = {
    "client_secret_basic": ClientAuthentication.BASIC,
    "client_secret_post": ClientAuthentication.POST,
    "none": ClientAuthentication.NONE,
}
_STAYS = "offline_access"  # OpenID Connect's scope for a refresh token
_NAMES = "openid"


@dataclass(frozen=True, slots=True)
class Discovered:
    """The sign-in of one MCP server, as it was found. It is nobody's.

    Attributes:
        resource: The identifier that tokens are asked for with (RFC 8707).
        issuer: The authorization server.
        endpoints: Where its OAuth is.
        scopes: The OAuth scopes that every sign-in asks for.
        authentications: How it lets a client say who it is, the best way first.
        registration: Where clients register themselves (RFC 7591); "" if they cannot.
        takes_documents: It takes the address of a client's metadata document as the client's id.
    """

    resource: str
    issuer: str
    endpoints: Endpoints
    scopes: tuple[str, ...]
    authentications: tuple[ClientAuthentication, ...]
    registration: str
    takes_documents: bool


class Discovery:
    """Finds the authorization server of one MCP server. Lives as long as the process and keeps nothing.

    Args:
        title: The server's name for people.
        url: Its address in the settings.
        oauth_scopes: The OAuth scopes that people are asked for; if it is empty, the server says which.
        transport: Says which addresses may be asked.
        http: Asks them, over this transport.
    """

    def __init__(
        self,
        title: str,
        url: str,
        oauth_scopes: tuple[str, ...],
        transport: DiscoveryTransport,
        http: httpx2.AsyncClient,
    ) -> None:
        self._title = title
        self._url = url
        self._oauth_scopes = oauth_scopes
        self._transport = transport
        self._http = http

    async def find(self, known_issuer: str | None = None) -> Discovered:
        """Ask the server, and then the authorization server that it names.

        Args:
            known_issuer: The authorization server that counts, where the server names several.

        Raises:
            ProviderError: They do not say, contradict each other, or offer less than is needed to be safe.
        """
        challenge = await self._challenge()
        document = await self._document(challenge)
        resource = self._resource(document)
        servers = [each for each in _texts(document, "authorization_servers") if "://" in each]
        if not servers:
            raise self._error("its metadata names no authorization server")
        issuer = next((each for each in servers if is_same_issuer(each, known_issuer or "")), servers[0])
        await check_reachable(self._transport, issuer, self._title)
        metadata = await fetch_metadata(self._http, issuer, self._title)
        await self._check(metadata)
        supported = frozenset(metadata.listed("scopes_supported") or ())
        asked = self._oauth_scopes or challenge.scopes or scopes_in(" ".join(_texts(document, "scopes_supported")))
        names = {_NAMES} if metadata.endpoints.certs else set()
        methods = metadata.listed("token_endpoint_auth_methods_supported") or ("client_secret_basic",)  # RFC 8414
        registration = metadata.says.get("registration_endpoint")
        return Discovered(
            resource=resource,
            issuer=metadata.endpoints.issuer or issuer,
            endpoints=metadata.endpoints,
            scopes=tuple(dict.fromkeys((*asked, *sorted(supported & (names | {_STAYS}))))),
            authentications=tuple(way for method, way in _METHODS.items() if method in methods),
            registration=registration if isinstance(registration, str) else "",
            takes_documents=metadata.says.get("client_id_metadata_document_supported") is True,
        )

    async def _challenge(self) -> Challenge:
        """Call the server without a token, and return how it refuses."""
        try:
            async with (
                asyncio.timeout(HTTP_TIMEOUT_SECONDS),
                self._http.stream("POST", self._url, json=_CALL, headers=_HEADERS) as response,
            ):
                status, headers = response.status_code, response.headers.get_list("www-authenticate")
        except (httpx2.HTTPError, TimeoutError) as failure:
            raise ProviderError(
                f"{self._title} gave no answer ({type(failure).__name__})", provider=self._title
            ) from None
        if status >= 500 or status == 429:
            raise ProviderError(f"{self._title} answered {status}", status=status, provider=self._title)
        return read_challenge(headers) if status in (401, 403) else Challenge()

    async def _document(self, challenge: Challenge) -> dict[str, object]:
        """Return the metadata of the protected resource: https://www.rfc-editor.org/rfc/rfc9728#section-3."""
        place = urlsplit(self._url)
        root, path = f"{place.scheme}://{place.netloc}", place.path.rstrip("/")
        named = (challenge.resource_metadata, f"{root}{_WELL_KNOWN}{path}", f"{root}{_WELL_KNOWN}")
        for url in dict.fromkeys(filter(None, named)):
            await check_reachable(self._transport, url, self._title)
            if document := await fetch_document(self._http, url, self._title):
                return document
        raise self._error("it does not say who signs its people in (RFC 9728)")

    def _resource(self, document: dict[str, object]) -> str:
        """Return the resource that the metadata is about: this server, or an address above it."""
        resource = document.get("resource")
        here, there = urlsplit(self._url), urlsplit(str(resource) if is_confidential(str(resource)) else "")
        same_origin = (here.scheme, here.netloc.lower()) == (there.scheme, there.netloc.lower())
        above = there.path.rstrip("/") + "/"
        if not same_origin or there.query or there.fragment or not f"{here.path.rstrip('/')}/".startswith(above):
            raise self._error("its metadata is about another server, so a token could be meant for that one")
        assert isinstance(resource, str)
        return resource

    async def _check(self, metadata: ServerMetadata) -> None:
        """Raise a `ProviderError` if an authorization server offers less than is needed to be safe."""
        if "S256" not in (metadata.listed("code_challenge_methods_supported") or ()):
            raise self._error("its authorization server does not offer PKCE with S256, which protects sign-ins")
        endpoints, registration = metadata.endpoints, metadata.says.get("registration_endpoint")
        asked = (endpoints.token, endpoints.revoke, endpoints.certs, registration)
        for url in asked:  # the consent page is opened by people, in their network
            if isinstance(url, str):
                await check_reachable(self._transport, url, self._title)

    def _error(self, words: str) -> ProviderError:
        return ProviderError(f"{self._title}: {words}", status=200, provider=self._title)


def _texts(document: dict[str, object], key: str) -> list[str]:
    value = document.get(key)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
