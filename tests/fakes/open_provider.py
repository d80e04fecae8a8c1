"""An authorization server for clients that it does not know: they register, or their id is a metadata document."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.oauth.client import RegisteredClient
from app.sandbox.oauth.differences import Differences
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.oauth.state import AppGrant, RefusedError

_METHODS = {"basic": "client_secret_basic", "post": "client_secret_post", "none": "none"}
_GRANTS = {"authorization_code", "refresh_token"}


@dataclass(frozen=True)
class Openness:
    """The ways in which unknown clients become known to the server.

    Attributes:
        registers: Whether they can register (RFC 7591).
        documents: Whether the address of their metadata document can be their id.
        challenges: The code challenge methods that the metadata lists; None leaves them out.
    """

    registers: bool = False
    documents: bool = False
    challenges: tuple[str, ...] | None = ("S256",)


REGISTERS = Openness(registers=True)


class OpenProvider(OAuthSandbox):
    """The sandbox's provider for unknown clients, with tokens that are each for one API alone (RFC 8707).

    Attributes:
        resources: The APIs that it issues tokens for.
        registered: Each registration, as the client sent it.
        fetched: The addresses of the documents that were fetched.
        open_http: Opens the client that fetches them.
    """

    def __init__(self, resource: str, accounts: tuple[str, ...], differences: Differences, openness: Openness) -> None:
        super().__init__(
            client_id="first", client_secret="first", redirect_uris=(), accounts=accounts, differences=differences
        )
        self.resources = {resource}
        self._openness = openness
        self._known: dict[str, tuple[RegisteredClient, frozenset[str]]] = {}
        self._given: dict[int, tuple[str, str]] = {}  # client and resource, by a grant's number
        self.registered: list[dict[str, Any]] = []
        self.fetched: list[str] = []
        self.open_http: Callable[[], httpx2.AsyncClient] = partial(httpx2.AsyncClient, trust_env=False)
        self.app.router.routes.append(Route("/register", self._register, methods=["POST"]))

    def forget(self) -> None:
        """Forget all clients, as a server does that keeps them in memory and is restarted."""
        self._known.clear()

    def grant_of(self, token: str) -> AppGrant | None:
        """Return the grant of an access token, as long as it is valid."""
        return self.state.find(token, self._now())

    def resource_of(self, grant: AppGrant) -> str:
        """Return the API that a grant's tokens are for."""
        return self._given[grant.number][1]

    async def _register(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        self.registered.append(asked)
        uris, differs = asked.get("redirect_uris") or [""], self._differs
        if not self._openness.registers:
            return Response(status_code=404)
        if any(not uri.startswith(("https://", "http://127.0.0.1")) for uri in uris):
            return JSONResponse({"error": "invalid_redirect_uri"}, 400)
        method = _METHODS[differs.client_authentication]
        if asked.get("token_endpoint_auth_method") != method or set(asked.get("grant_types", [])) - _GRANTS:
            return JSONResponse({"error": "invalid_client_metadata"}, 400)
        client = RegisteredClient(secrets.token_urlsafe(12), secrets.token_urlsafe(24), differs)
        self._known[client.client_id] = client, frozenset(uris)
        secret = {"client_secret": client.client_secret, "client_secret_expires_at": 0}
        return JSONResponse({**asked, "client_id": client.client_id, **secret}, 201)

    async def _metadata(self, request: Request) -> Response:
        says = json.loads(bytes((await super()._metadata(request)).body))
        says["client_id_metadata_document_supported"] = self._openness.documents
        says["token_endpoint_auth_methods_supported"] = [_METHODS[self._differs.client_authentication]]
        if self._openness.registers:
            says["registration_endpoint"] = f"{says['issuer']}/register"
        if self._openness.challenges is not None:
            says["code_challenge_methods_supported"] = [*self._openness.challenges]
        return JSONResponse(says)

    async def _show(self, request: Request) -> Response:
        await self._meet(request.query_params.get("client_id", ""))
        return await super()._show(request)

    async def _decide(self, request: Request) -> Response:
        asked = request.query_params
        await self._meet(asked.get("client_id", ""))
        response = await super()._decide(request)
        for code in parse_qs(urlsplit(response.headers.get("location", "")).query).get("code", []):
            self._given[self.state.codes[code].grant.number] = asked["client_id"], asked["resource"]
        return response

    def _wrong_with(self, asked: Mapping[str, str]) -> str:
        client_id = asked.get("client_id", "")
        if client_id not in self._known:
            return "unknown client"
        if asked.get("resource") not in self.resources:
            return "invalid_target"
        self.redirect_uris = set(self._known[client_id][1])
        return super()._wrong_with({**asked, "client_id": self._client.client_id})

    async def _fields(self, request: Request) -> dict[str, str]:
        """Return the fields, if they are those of a known client, for the API, and of a grant to this client."""
        if self.failure is not None:
            raise RefusedError("temporarily_unavailable", self.failure)
        async with request.form() as form:
            client_id = str(form.get("client_id", ""))
        await self._meet(client_id)
        for known, (client, _) in self._known.items():
            if client_id == known or client.is_basic(request):
                break
        else:
            raise RefusedError("invalid_client", 401)
        fields = await client.fields(request)
        if "grant_type" in fields and fields.get("resource") not in self.resources:
            raise RefusedError("invalid_target")
        issued = self.state.codes.get(fields.get("code", ""))
        refreshed = next((each for each in self.state.grants if fields.get("refresh_token", "") == each.refresh), None)
        grant = issued.grant if issued else refreshed
        if grant is not None and self._given[grant.number] != (client.client_id, fields.get("resource")):
            raise RefusedError("invalid_grant")
        return fields

    async def _meet(self, client_id: str) -> None:
        """Fetch the metadata document if the client's id is its address."""
        if client_id in self._known or not self._openness.documents or not client_id.startswith("http"):
            return
        self.fetched.append(client_id)
        async with self.open_http() as http:
            answer = await http.get(client_id)
        document = answer.json() if answer.status_code == 200 else {}
        if document.get("client_id") == client_id and document.get("token_endpoint_auth_method") == "none":
            client = RegisteredClient(client_id, "", self._differs)
            self._known[client_id] = client, frozenset(document["redirect_uris"])
