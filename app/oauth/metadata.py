"""Where an authorization server's OAuth is, as the server itself says (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx2

from app.errors import ProviderError
from app.hosts import is_loopback
from app.oauth.description import Endpoints
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS, json_object


async def fetch_endpoints(http: httpx2.AsyncClient, issuer: str, title: str) -> Endpoints:
    """Return the endpoints of an issuer: https://www.rfc-editor.org/rfc/rfc8414#section-3.

    Args:
        http: Keeps no cookies.
        issuer: The issuer's identifier, an address.
        title: The provider's name for people.

    Raises:
        ProviderError: There is no metadata, it is another issuer's, or an endpoint in it is not https.
    """
    place = urlsplit(issuer)
    root, path = f"{place.scheme}://{place.netloc}", place.path.rstrip("/")
    for url in (
        f"{root}/.well-known/oauth-authorization-server{path}",
        f"{root}{path}/.well-known/openid-configuration",
    ):
        if (found := await _fetch(http, url, title)) is not None:
            return _read(found, issuer, title)
    raise ProviderError(
        f"{title} does not say where its sign-in is: {issuer} has no metadata", status=404, provider=title
    )


async def _fetch(http: httpx2.AsyncClient, url: str, title: str) -> dict[str, object] | None:
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):
            response = await http.get(url, headers={"Accept": "application/json"}, follow_redirects=False)
    except (httpx2.HTTPError, TimeoutError) as failure:
        raise ProviderError(f"{title} gave no answer ({type(failure).__name__})", provider=title) from None
    if response.status_code >= 500:
        raise ProviderError(f"{title} answered {response.status_code}", status=response.status_code, provider=title)
    return json_object(response.content) if response.status_code == 200 else None


def _read(found: dict[str, object], issuer: str, title: str) -> Endpoints:
    if found.get("issuer") != issuer:  # else a server could pass for another one: RFC 8414 section 3.3
        raise ProviderError(f"the metadata at {issuer} is another issuer's", status=200, provider=title)

    def address(key: str) -> str | None:
        value = found.get(key)
        if value is None:
            return None
        url = urlsplit(str(value))
        if url.scheme != "https" and not is_loopback(url.hostname or ""):
            raise ProviderError(f"the {key} of {issuer} is not an https address", status=200, provider=title)
        return str(value)

    authorize, token = address("authorization_endpoint"), address("token_endpoint")
    if authorize is None or token is None:
        raise ProviderError(f"the metadata of {issuer} names no sign-in", status=200, provider=title)
    return Endpoints(
        authorize=authorize,
        token=token,
        revoke=address("revocation_endpoint"),
        issuer=issuer,
        certs=address("jwks_uri"),
        says_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )
