"""The sandbox's OAuth 2.0 and OpenID Connect endpoints behind the consent screen, which issue tokens.

https://developers.google.com/identity/protocols/oauth2/web-server and …/identity/openid-connect/openid-connect
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.sandbox.google.authorize import Client
from app.sandbox.google.delegation import JWT_BEARER, Delegation
from app.sandbox.google.grants import Issued, OAuthError, SandboxGrants, scopes_of
from app.sandbox.log import Call, bearer_of, fingerprint
from app.sandbox.people import SandboxPeople

KEY_ID = "sandbox"
ID_TOKEN_SECONDS = 3600
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_EMAIL_SCOPE, _PROFILE_SCOPE = scopes_of("email profile")


class OAuth:
    """The token, revocation, userinfo, certificate and configuration endpoints. Lives with the sandbox."""

    def __init__(
        self,
        client: Client,
        people: SandboxPeople,
        grants: SandboxGrants,
        delegation: Delegation,
        record: Callable[[Call], None],
        now: Callable[[], float],
    ) -> None:
        self._client = client
        self._delegation = delegation
        self._people = people
        self._grants = grants
        self._record = record
        self._now = now

    @property
    def routes(self) -> list[BaseRoute]:
        """The endpoints, relative to the issuer."""
        return [
            Route("/.well-known/openid-configuration", self._configuration),
            Route("/oauth2/v1/certs", self._pem_keys),
            Route("/oauth2/v3/certs", self._jwk_keys),
            Route("/token", self._token, methods=["POST"]),
            Route("/revoke", self._revoke, methods=["POST"]),
            Route("/v1/userinfo", self._userinfo, methods=["GET", "POST"]),
        ]

    async def _configuration(self, request: Request) -> Response:
        issuer = _issuer(request)
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/o/oauth2/v2/auth",
                "token_endpoint": f"{issuer}/token",
                "revocation_endpoint": f"{issuer}/revoke",
                "userinfo_endpoint": f"{issuer}/v1/userinfo",
                "jwks_uri": f"{issuer}/oauth2/v3/certs",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            }
        )

    async def _pem_keys(self, request: Request) -> Response:
        pem = _signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return JSONResponse({KEY_ID: pem.decode()})

    async def _jwk_keys(self, request: Request) -> Response:
        public = RSAAlgorithm.to_jwk(_signing_key().public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]})

    async def _token(self, request: Request) -> Response:
        async with request.form() as form:
            fields = {key: value for key, value in form.items() if isinstance(value, str)}
        grant_type = fields.get("grant_type", "")
        method_id = f"oauth.token.{grant_type.rpartition(':')[2]}" if grant_type in self._exchanges else "oauth.token"
        email = None
        try:
            if grant_type != JWT_BEARER:  # an assertion's signature identifies its sender
                self._authenticate(request, fields)
            if grant_type not in self._exchanges:
                raise OAuthError("unsupported_grant_type", "Invalid grant_type.")
            issued = self._exchanges[grant_type](fields, _issuer(request))
            email = issued.email
            response = JSONResponse(self._answer(issued, _issuer(request)), headers=_NO_STORE)
        except OAuthError as error:
            response = _error(error)
        self._log(method_id, email, response.status_code)
        return response

    @property
    def _exchanges(self) -> Mapping[str, Callable[[Mapping[str, str], str], Issued]]:
        return {"authorization_code": self._exchange, "refresh_token": self._refresh, JWT_BEARER: self._delegate}

    def _delegate(self, fields: Mapping[str, str], issuer: str) -> Issued:
        return self._delegation.exchange(fields.get("assertion", ""), audience=f"{issuer}/token")

    def _exchange(self, fields: Mapping[str, str], _: str) -> Issued:
        return self._grants.exchange(
            fields.get("code", ""), fields.get("redirect_uri", ""), fields.get("code_verifier", "")
        )

    def _refresh(self, fields: Mapping[str, str], _: str) -> Issued:
        return self._grants.refresh(fields.get("refresh_token", ""), scopes_of(fields.get("scope", "")))

    def _authenticate(self, request: Request, fields: Mapping[str, str]) -> None:
        """Check the client's credentials, from HTTP Basic or from the form (RFC 6749 §2.3.1)."""
        client_id, client_secret = fields.get("client_id", ""), fields.get("client_secret", "")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(encoded, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                pair = ""
            client_id, _, client_secret = (unquote_plus(part) for part in pair.partition(":"))
        known = secrets.compare_digest(client_id.encode(), self._client.client_id.encode())
        proven = secrets.compare_digest(client_secret.encode(), self._client.client_secret.encode())
        if not (known and proven):
            raise OAuthError("invalid_client", "Unauthorized" if known else "The OAuth client was not found.", 401)

    def _answer(self, issued: Issued, issuer: str) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "access_token": issued.access_token,
            "expires_in": issued.expires_in,
            "scope": " ".join(issued.scopes),
            "token_type": "Bearer",
        }
        if issued.refresh_token:
            answer["refresh_token"] = issued.refresh_token
        if "openid" in issued.scopes:
            answer["id_token"] = self._id_token(issued, issuer)
        return answer

    def _id_token(self, issued: Issued, issuer: str) -> str:
        at = int(self._now())
        claims = {
            "iss": issuer,
            "aud": self._client.client_id,
            "azp": self._client.client_id,
            "iat": at,
            "exp": at + ID_TOKEN_SECONDS,
            **self._profile(issued.email, issued.scopes),
        }
        if issued.nonce is not None:
            claims["nonce"] = issued.nonce
        return jwt.encode(claims, _signing_key(), "RS256", headers={"kid": KEY_ID})

    def _profile(self, email: str, scopes: tuple[str, ...] | frozenset[str]) -> dict[str, Any]:
        """Return the claims about a person that the identity scopes allow."""
        person = self._people[email]
        claims: dict[str, Any] = {"sub": person.subject}
        if _EMAIL_SCOPE in scopes:
            claims |= {"email": person.email, "email_verified": True}
        if _PROFILE_SCOPE in scopes:
            claims |= {"name": person.name}
        return claims

    async def _revoke(self, request: Request) -> Response:
        async with request.form() as form:
            token = form.get("token") or request.query_params.get("token", "")
        email = None
        response: Response
        try:
            email = self._grants.revoke(str(token))
            response = JSONResponse({})
        except OAuthError as error:
            response = _error(error)
        self._log("oauth.revoke", email, response.status_code)
        return response

    async def _userinfo(self, request: Request) -> Response:
        bearer = bearer_of(request.headers.get("authorization"))
        owner = self._grants.owner(bearer)
        if owner is None or "openid" not in owner[1]:
            response = _error(OAuthError("invalid_request", "Invalid Credentials", 401))
        else:
            response = JSONResponse(self._profile(*owner))
        self._log("oauth.userinfo", owner[0] if owner else None, response.status_code, bearer)
        return response

    def _log(self, method_id: str, email: str | None, status: int, bearer: str | None = None) -> None:
        self._record(Call(method_id, email, fingerprint(bearer), status, self._now()))


@cache
def _signing_key() -> RSAPrivateKey:
    """Return the key that signs every id_token: one per process, because making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def _issuer(request: Request) -> str:
    """Return the sandbox's own address as the client named it, for ``iss``."""
    return str(request.base_url).rstrip("/")


def _error(error: OAuthError) -> JSONResponse:
    body = {"error": error.error, "error_description": error.description}
    return JSONResponse(body, error.status, headers=_NO_STORE)
