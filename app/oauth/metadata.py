"""Where an authorization server's OAuth is, as the server itself says (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from app.errors import ProviderError
from app.hosts import is_confidential
from app.oauth.description import Endpoints
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS, json_object


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """The metadata of an authorization server.

    Attributes:
        endpoints: Where its OAuth is.
        says: The whole document, unchecked.
    """

    endpoints: Endpoints
    says: Mapping[str, object] = field(repr=False)

    def listed(self, key: str) -> tuple[str, ...] | None:
        """Return the texts in a list of the document; None if it has no such list."""
        value = self.says.get(key)
        return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else None


async def fetch_endpoints(http: httpx2.AsyncClient, issuer: str, title: str) -> Endpoints:
    """Return the endpoints of an issuer; see `fetch_metadata`."""
    return (await fetch_metadata(http, issuer, title)).endpoints


async def fetch_metadata(http: httpx2.AsyncClient, issuer: str, title: str) -> ServerMetadata:
    """Return what an issuer says of itself: https://www.rfc-editor.org/rfc/rfc8414#section-3.

    Args:
        http: Keeps no cookies.
        issuer: The issuer's identifier, an address.
        title: The provider's name for people.

    Raises:
        ProviderError: There is no metadata, it is another issuer's, or an endpoint in it is not https.
    """
    place = urlsplit(issuer)
    root, path = f"{place.scheme}://{place.netloc}", place.path.rstrip("/")
    for url in dict.fromkeys(
        (
            f"{root}/.well-known/oauth-authorization-server{path}",
            f"{root}/.well-known/openid-configuration{path}",  # section 5 of it
            f"{root}{path}/.well-known/openid-configuration",
        )
    ):
        if (found := await fetch_document(http, url, title)) is not None:
            return ServerMetadata(_read(found, issuer, title), found)
    raise ProviderError(
        f"{title} does not say where its sign-in is: {issuer} has no metadata", status=404, provider=title
    )


async def fetch_document(http: httpx2.AsyncClient, url: str, title: str) -> dict[str, object] | None:
    """Return the JSON object at an address; None if nothing is there.

    Raises:
        ProviderError: There is no answer, it says that the fault is the server's, or it leads elsewhere.
    """
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):
            response = await http.get(url, headers={"Accept": "application/json"}, follow_redirects=False)
    except (httpx2.HTTPError, TimeoutError) as failure:
        raise ProviderError(f"{title} gave no answer ({type(failure).__name__})", provider=title) from None
    if response.status_code >= 500:
        raise ProviderError(f"{title} answered {response.status_code}", status=response.status_code, provider=title)
    if response.is_redirect:  # it could lead into the network of this server
        raise ProviderError(f"{url} redirects, which I do not follow", status=response.status_code, provider=title)
    return json_object(response.content) if response.status_code == 200 else None


def is_same_issuer(one: object, other: str) -> bool:
    """Return whether two identifiers are the same text, but for the slash of an address that has no path."""
    if not isinstance(one, str) or one == other:
        return one == other
    root = "{0.scheme}://{0.netloc}".format(urlsplit(other))
    return {one, other} == {root, f"{root}/"}


def _read(found: dict[str, object], issuer: str, title: str) -> Endpoints:
    said = found.get("issuer")
    if not is_same_issuer(said, issuer):  # else a server could pass for another one: RFC 8414 section 3.3
        raise ProviderError(f"the metadata at {issuer} is another issuer's", status=200, provider=title)

    def address(key: str) -> str | None:
        value = found.get(key)
        if value is None:
            return None
        if not is_confidential(str(value)):
            raise ProviderError(f"the {key} of {issuer} is not an https address", status=200, provider=title)
        return str(value)

    authorize, token = address("authorization_endpoint"), address("token_endpoint")
    if authorize is None or token is None:
        raise ProviderError(f"the metadata of {issuer} names no sign-in", status=200, provider=title)
    return Endpoints(
        authorize=authorize,
        token=token,
        revoke=address("revocation_endpoint"),
        issuer=str(said),
        certs=address("jwks_uri"),
        says_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )
