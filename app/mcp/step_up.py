"""A server's refusal of a token that permits too little, so that it reaches the call that it is about."""

from __future__ import annotations

import httpx2

from app.oauth.challenge import read_challenge

WANTS_SCOPES = -31_403  # a JSON-RPC code of Deputy's own, outside the ranges of JSON-RPC and MCP


class StepUpTransport(httpx2.AsyncBaseTransport):
    """Turns ``insufficient_scope`` (RFC 6750) into the error of a call, with the OAuth scopes. Lives for one request.

    The SDK drops the header, and would end the connection of the calls beside this one if it were raised here.

    Args:
        signing: Sends the requests.
    """

    def __init__(self, signing: httpx2.AsyncBaseTransport) -> None:
        self._signing = signing

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; raises as the transport below."""
        response = await self._signing.handle_async_request(request)
        if response.status_code != 403:
            return response
        challenge = read_challenge(response.headers.get_list("www-authenticate"))
        if not challenge.wants_scopes:
            return response
        await response.aclose()
        error = {"code": WANTS_SCOPES, "message": " ".join(challenge.scopes)}
        return httpx2.Response(403, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._signing.aclose()
