"""The sandbox's provider over HTTP: consent page, token endpoint, revocation, metadata, and an account API."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.oauth.differences import GITHUB, Differences
from app.sandbox.oauth.state import AppGrant, ProviderState, RefusedError

_IMPLIED = {"repo": {"public_repo", "repo:status"}, "user": {"read:user", "user:email"}}
_NO_STORE = {"Cache-Control": "no-store"}
_KEY_ID = "sandbox"


class OAuthSandbox:
    """One provider with one client; it refuses whatever the client does wrongly. Lives as long as it is served.

    GET on the consent page shows a form; a program posts the form's fields: ``account``, ``decision`` (``allow`` or
    ``deny``) and ``granted``, the scopes that the person leaves ticked, all by default.

    Attributes:
        redirect_uris: Those that the client has registered.
        state: The grants.
        calls: Every call of the account API: the account, the method and the path.
        failure: The status with which all endpoints but the consent page answer, while it is set.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        redirect_uris: Iterable[str],
        accounts: tuple[str, ...] = ("ada", "grace"),
        differences: Differences = GITHUB,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self.redirect_uris = set(redirect_uris)
        self._accounts = accounts
        self._differs = differences
        self._now = now
        self.state = ProviderState(differences)
        self.calls: list[tuple[str, str, str]] = []
        self.token_calls: list[str] = []
        self.failure: int | None = None
        self.app = Starlette(
            routes=[
                Route("/login/oauth/authorize", self._show, methods=["GET"]),
                Route("/login/oauth/authorize", self._decide, methods=["POST"]),
                Route("/login/oauth/access_token", self._token, methods=["POST"]),
                Route("/revoke", self._revoke, methods=["POST"]),
                Route("/applications/{client_id}/grant", self._delete_grant, methods=["DELETE"]),
                Route("/.well-known/oauth-authorization-server", self._metadata),
                Route("/certs", self._certs),
                Route("/user", self._user),
                Route("/user/repos", self._repositories),
                Route("/user/starred/{owner}/{name}", self._star, methods=["PUT"]),
            ]
        )

    async def _show(self, request: Request) -> Response:
        refusal = self._wrong_with(request.query_params)
        if refusal:
            return HTMLResponse(f"<p>{refusal}</p>", 400)
        accounts = "".join(f"<button name=account value={each}>{each}</button>" for each in self._accounts)
        return HTMLResponse(
            f"<form method=post><input type=hidden name=decision value=allow>{accounts}</form>", headers=_NO_STORE
        )

    async def _decide(self, request: Request) -> Response:
        asked = request.query_params
        refusal = self._wrong_with(asked)
        async with request.form() as form:
            fields = {key: str(value) for key, value in form.items()}
        if refusal or fields.get("account") not in self._accounts:
            return HTMLResponse(f"<p>{refusal or 'no such account'}</p>", 400)
        answer = {"state": asked["state"]} | ({"iss": _root(request)} if self._differs.issuer else {})
        if fields.get("decision") == "allow":
            wanted = frozenset(asked.get("scope", "").replace(",", " ").split())
            granted = wanted & frozenset(fields["granted"].split()) if "granted" in fields else wanted
            answer["code"] = self.state.consent(
                fields["account"],
                granted,
                redirect_uri=asked["redirect_uri"],
                challenge=asked["code_challenge"],
                nonce=asked.get("nonce", ""),
                now=self._now(),
            )
        else:
            answer["error"] = "access_denied"
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 303, headers=_NO_STORE)

    def _wrong_with(self, asked: Mapping[str, str]) -> str:
        """Return why the consent page cannot be shown, or ""."""
        if asked.get("client_id") != self._client_id:
            return "unknown client"
        if asked.get("redirect_uri") not in self.redirect_uris:  # exactly, RFC 9700 section 4.1.3
            return "redirect_uri_mismatch"
        if asked.get("response_type") != "code" or not asked.get("state"):
            return "invalid_request"
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            return "a code challenge is needed"
        return ""

    async def _token(self, request: Request) -> Response:
        try:
            fields = await self._fields(request)
            self._authenticate(request, fields)
            grant_type = fields.get("grant_type", "")
            self.token_calls.append(grant_type)
            if grant_type == "authorization_code":
                code, verifier = fields.get("code", ""), fields.get("code_verifier", "")
                grant = self.state.exchange(code, fields.get("redirect_uri", ""), verifier, self._now())
            elif grant_type == "refresh_token" and self._differs.refreshes:
                grant = self.state.refresh(fields.get("refresh_token", ""), self._now())
            else:
                raise RefusedError("unsupported_grant_type")
        except RefusedError as refused:
            status = 200 if self._differs.errors_with_200 and refused.status == 400 else refused.status
            return JSONResponse({"error": refused.code}, status, headers=_NO_STORE)
        return JSONResponse(self._answer(grant, _root(request)), headers=_NO_STORE)

    def _answer(self, grant: AppGrant, issuer: str) -> dict[str, Any]:
        access = next(reversed(grant.access))
        answer: dict[str, Any] = {"access_token": access, "token_type": "bearer"}
        told = sorted(grant.scopes)
        if self._differs.drops_implied:
            told = [each for each in told if not any(each in _IMPLIED.get(other, ()) for other in told)]
        match self._differs.scopes:
            case "spaces":
                answer["scope"] = " ".join(told)
            case "commas":
                answer["scope"] = ",".join(told)
            case "list":
                answer["scope"] = told
        if self._differs.refreshes:
            answer["refresh_token"] = grant.refresh
            lifetime = int(self._differs.lifetime_seconds)
            if self._differs.expires_in != "missing":
                answer["expires_in"] = str(lifetime) if self._differs.expires_in == "text" else lifetime
        if self._differs.names == "answer":
            answer["owner"] = {"user": {"id": f"id-{grant.account}", "name": grant.account}}
        if self._differs.names == "id_token":
            now = int(self._now())
            claims = {"iss": issuer, "aud": self._client_id, "iat": now, "exp": now + 300, "nonce": grant.nonce}
            claims |= {"sub": f"id-{grant.account}", "email": f"{grant.account}@hub.example", "email_verified": True}
            answer["id_token"] = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": _KEY_ID})
        return answer

    async def _revoke(self, request: Request) -> Response:
        if self._differs.revocation != "rfc7009":
            return Response(status_code=404)
        try:
            fields = await self._fields(request)
            self._authenticate(request, fields)
        except RefusedError as refused:
            return JSONResponse({"error": refused.code}, refused.status)
        grant = self.state.owner(fields.get("token", ""))
        if grant is not None:
            self.state.end(grant)
        return Response(status_code=200)  # RFC 7009 section 2.2: also where there is no such token

    async def _delete_grant(self, request: Request) -> Response:
        if self.failure is not None:
            return Response(status_code=self.failure)
        known = request.path_params["client_id"] == self._client_id and self._basic(request)
        if self._differs.revocation != "github" or not known:
            return JSONResponse({"message": "Not Found"}, 404)
        grant = self.state.owner(str(json.loads(await request.body()).get("access_token", "")))
        if grant is None:
            return JSONResponse({"message": "Validation Failed"}, 422)
        for each in self.state.grants:
            if each.account == grant.account:
                self.state.end(each)
        return Response(status_code=204)

    async def _metadata(self, request: Request) -> Response:
        root = _root(request)
        return JSONResponse(
            {
                "issuer": root,
                "authorization_endpoint": f"{root}/login/oauth/authorize",
                "token_endpoint": f"{root}/login/oauth/access_token",
                "jwks_uri": f"{root}/certs",
                "authorization_response_iss_parameter_supported": self._differs.issuer,
                **({"revocation_endpoint": f"{root}/revoke"} if self._differs.revocation == "rfc7009" else {}),
            }
        )

    async def _certs(self, request: Request) -> Response:
        public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": _KEY_ID, "use": "sig", "alg": "RS256"}]})

    async def _user(self, request: Request) -> Response:
        return self._called(request, "", lambda account: {"id": 1000 + self._accounts.index(account), "login": account})

    async def _repositories(self, request: Request) -> Response:
        return self._called(request, "repo", lambda account: [{"full_name": f"{account}/notes", "private": True}])

    async def _star(self, request: Request) -> Response:
        return self._called(request, "public_repo", lambda account: {"starred_by": account})

    def _called(self, request: Request, scope: str, answer: Callable[[str], Any]) -> Response:
        """Return an answer of the account API, as the account of the bearer."""
        if self.failure is not None:
            return Response(status_code=self.failure)
        grant = self.state.find(request.headers.get("authorization", "").removeprefix("Bearer "), self._now())
        self.calls.append((grant.account if grant else "nobody", request.method, request.url.path))
        if grant is None:
            return JSONResponse({"message": "Bad credentials"}, 401)
        permitted = grant.scopes.union(*(_IMPLIED.get(each, ()) for each in grant.scopes))
        if scope and scope not in permitted:
            return JSONResponse({"message": "Resource not accessible"}, 403)
        return JSONResponse(answer(grant.account))

    async def _fields(self, request: Request) -> dict[str, str]:
        if self.failure is not None:
            raise RefusedError("temporarily_unavailable", self.failure)
        is_json = request.headers.get("content-type", "").startswith("application/json")
        if is_json != self._differs.as_json:
            raise RefusedError("invalid_request")
        if is_json:
            return {key: str(value) for key, value in json.loads(await request.body()).items()}
        async with request.form() as form:
            return {key: str(value) for key, value in form.items()}

    def _authenticate(self, request: Request, fields: Mapping[str, str]) -> None:
        """Check the client, which may say who it is in one way only: RFC 6749 section 2.3."""
        way = self._differs.client_authentication
        in_form = secrets.compare_digest(fields.get("client_secret", "").encode(), self._client_secret.encode())
        named = fields.get("client_id") == self._client_id
        proven = {
            "basic": self._basic(request) and "client_secret" not in fields,
            "post": named and in_form and "authorization" not in request.headers,
            "none": named and "client_secret" not in fields and "authorization" not in request.headers,
        }
        if not proven[way]:
            raise RefusedError("invalid_client", 401)

    def _basic(self, request: Request) -> bool:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            return False
        client_id, _, secret = (unquote(part) for part in pair.partition(":"))
        return scheme == "Basic" and secrets.compare_digest(
            f"{client_id}:{secret}".encode(), f"{self._client_id}:{self._client_secret}".encode()
        )

    @cached_property
    def _key(self) -> Any:
        return generate_private_key(public_exponent=65537, key_size=2048)


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/")
