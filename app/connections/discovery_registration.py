"""How Deputy introduces itself to an authorization server that it has never met: RFC 7591, or a document."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx2

from app.connections.discovery_clients import OAuthClient
from app.errors import ProviderError
from app.oauth.description import ClientAuthentication
from app.oauth.reasons import oauth_reason
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS, json_object, lifetime

_METHODS = {
    ClientAuthentication.BASIC: "client_secret_basic",
    ClientAuthentication.POST: "client_secret_post",
    ClientAuthentication.NONE: "none",
}
_WAYS = {method: way for way, method in _METHODS.items()}
_MAX_ID = 2_000  # characters of a client's id or secret


def client_metadata(redirect_uri: str, public_url: str, way: ClientAuthentication) -> dict[str, Any]:
    """Return what Deputy says of itself as a client: RFC 7591 section 2."""
    return {
        "client_name": "Deputy",
        "client_uri": public_url,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": _METHODS[way],
        "application_type": "web",
    }


def client_document(document_url: str, redirect_uri: str, public_url: str) -> dict[str, Any]:
    """Return the document whose address is the client's id (draft-ietf-oauth-client-id-metadata-document)."""
    return {"client_id": document_url, **client_metadata(redirect_uri, public_url, ClientAuthentication.NONE)}


async def register(
    http: httpx2.AsyncClient,
    url: str,
    title: str,
    *,
    redirect_uri: str,
    public_url: str,
    authentications: Sequence[ClientAuthentication],
) -> OAuthClient:
    """Register a client, and return it as the authorization server knows it.

    Args:
        http: Keeps no cookies.
        url: The registration endpoint.
        title: The server's name for people.
        redirect_uri: The only one of the client.
        public_url: Where people reach this server.
        authentications: How a client may say who it is; the first one is asked for.

    Raises:
        ProviderError: It registers none, or another one than was asked for.
    """
    way = authentications[0] if authentications else ClientAuthentication.NONE
    asked = client_metadata(redirect_uri, public_url, way)
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):
            response = await http.post(url, json=asked, headers={"Accept": "application/json"}, follow_redirects=False)
    except (httpx2.HTTPError, TimeoutError) as failure:
        raise ProviderError(
            f"{title} gave no answer to a registration ({type(failure).__name__})", provider=title
        ) from None
    if response.status_code not in (200, 201):
        reason = oauth_reason(response.content)
        raise ProviderError(
            f"{title} answered {response.status_code} to a registration ({reason})",
            status=max(400, response.status_code),
            reason=reason,
            provider=title,
        )
    client = _read(json_object(response.content), asked)
    if client is None:
        raise ProviderError(f"{title} has registered another client than was asked for", status=200, provider=title)
    return client


def _read(answer: dict[str, Any], asked: dict[str, Any]) -> OAuthClient | None:
    """Return the client in an answer (RFC 7591 section 3.2.1); None if it cannot be used."""
    client_id, secret = answer.get("client_id"), answer.get("client_secret")
    method = answer.get("token_endpoint_auth_method", asked["token_endpoint_auth_method"])
    way = _WAYS.get(method) if isinstance(method, str) else None
    if not isinstance(client_id, str) or not 0 < len(client_id) <= _MAX_ID or way is None:
        return None
    if way is ClientAuthentication.NONE:
        secret = ""
    elif not isinstance(secret, str) or not 0 < len(secret) <= _MAX_ID:
        return None
    if answer.get("redirect_uris", asked["redirect_uris"]) != asked["redirect_uris"]:
        return None
    ends = lifetime(answer.get("client_secret_expires_at"), usual=0.0)  # 0 says that it does not end
    return OAuthClient(client_id, way, secret or "", ends or None)
