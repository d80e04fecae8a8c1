"""Slack's OpenID Connect on loopback: the sign-in page, the codes, and id_tokens with Slack's own claims.

https://docs.slack.dev/authentication/sign-in-with-slack
"""

from __future__ import annotations

import hmac
import html
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

CODE_SECONDS = 600
ID_TOKEN_SECONDS = 300
KEY_ID = "slack-sandbox"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in - Slack sandbox</title>
<p>SANDBOX: this is not Slack.</p><form method="post"><label>User id <input name="user" required></label>
<button name="decision" value="allow">Sign in to {team}</button>
<button name="decision" value="deny" formnovalidate>Cancel</button></form></html>"""


@dataclass(frozen=True, slots=True)
class SlackSignIn:
    """A person's sign-in: who they are, their team, and the request."""

    user: str
    team: str
    redirect_uri: str
    nonce: str | None
    expires_at: float


@dataclass
class SlackOpenId:
    """The endpoints of Sign in with Slack for one app. Lives with the sandbox; serve `routes`.

    Attributes:
        redirect_uris: The exact URLs to which people may be sent back.
        team: The workspace that people sign in to; an organisation's id goes into `enterprise`.
        claims: Claims to add to id_tokens, or to replace in them.
        asked: How often the token endpoint was called with a code.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uris: frozenset[str]
    team: str = "T0SANDBOX"
    enterprise: str | None = None
    now: Callable[[], float] = time.time
    claims: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    _codes: dict[str, SlackSignIn | None] = field(default_factory=dict, repr=False)  # None once it is used

    @property
    def routes(self) -> list[BaseRoute]:
        """The endpoints, relative to the issuer."""
        return [
            Route("/openid/connect/authorize", self._authorize, methods=["GET", "POST"]),
            Route("/openid/connect/keys", self._keys),
            Route("/api/openid.connect.token", self._token, methods=["POST"]),
        ]

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        fault = self._fault(asked)
        if fault:
            return HTMLResponse(f"<p>{html.escape(fault)}</p>", 400)
        if request.method == "GET":
            return HTMLResponse(_PAGE.format(team=html.escape(self.team)))
        async with request.form() as form:
            user, decision = str(form.get("user", "")), form.get("decision", "allow")
        answer = {"state": asked.get("state", "")}
        if decision != "allow" or not user:
            return _redirect(asked["redirect_uri"], answer | {"error": "access_denied"})
        code = secrets.token_hex(16)
        self._codes[code] = SlackSignIn(
            user, self.team, asked["redirect_uri"], asked.get("nonce"), self.now() + CODE_SECONDS
        )
        return _redirect(asked["redirect_uri"], answer | {"code": code})

    def _fault(self, asked: Mapping[str, str]) -> str | None:
        if asked.get("client_id") != self.client_id:
            return "invalid_client_id"
        if asked.get("redirect_uri") not in self.redirect_uris:
            return "bad_redirect_uri"
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return "invalid_scope"
        if "team" in asked and asked["team"] != self.team:
            return "invalid_team"
        return None

    async def _keys(self, request: Request) -> Response:
        public = RSAAlgorithm.to_jwk(_signing_key().public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]})

    async def _token(self, request: Request) -> Response:
        async with request.form() as form:
            fields = {key: value for key, value in form.items() if isinstance(value, str)}
        self.asked += 1
        error, signed_in = self._redeem(fields)
        if signed_in is None:
            return JSONResponse({"ok": False, "error": error})
        issuer = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "ok": True,
                "access_token": f"xoxp-{secrets.token_hex(16)}",
                "token_type": "Bearer",
                "id_token": jwt.encode(
                    self._claims(signed_in, issuer), _signing_key(), "RS256", headers={"kid": KEY_ID}
                ),
            }
        )

    def _redeem(self, fields: Mapping[str, str]) -> tuple[str, SlackSignIn | None]:
        """Return an empty error and the sign-in of a code, once; or Slack's error code and None."""
        if fields.get("client_id") != self.client_id:
            return "invalid_client_id", None
        if not hmac.compare_digest(fields.get("client_secret", "").encode(), self.client_secret.encode()):
            return "bad_client_secret", None
        code = fields.get("code", "")
        if code not in self._codes:
            return "invalid_code", None
        signed_in, self._codes[code] = self._codes[code], None
        if signed_in is None:
            return "code_already_used", None
        if self.now() >= signed_in.expires_at:
            return "code_expired", None
        if fields.get("redirect_uri") != signed_in.redirect_uri:
            return "bad_redirect_uri", None
        return "", signed_in

    def _claims(self, signed_in: SlackSignIn, issuer: str) -> dict[str, Any]:
        at = int(self.now())
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": signed_in.user,
            "aud": self.client_id,
            "iat": at,
            "exp": at + ID_TOKEN_SECONDS,
            "https://slack.com/user_id": signed_in.user,
            "https://slack.com/team_id": signed_in.team,
        }
        if self.enterprise is not None:
            claims["https://slack.com/enterprise_id"] = self.enterprise
        if signed_in.nonce is not None:
            claims["nonce"] = signed_in.nonce
        return claims | self.claims


@cache
def _signing_key() -> RSAPrivateKey:
    """Return the key that signs every id_token: one per process, because making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def _redirect(redirect_uri: str, answer: Mapping[str, str]) -> Response:
    return RedirectResponse(f"{redirect_uri}?{urlencode(answer)}", 302)
