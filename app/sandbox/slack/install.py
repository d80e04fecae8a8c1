"""Installs an app in the sandbox's Slack: the page that asks for permission, and ``oauth.v2.access``.

https://docs.slack.dev/authentication/installing-with-oauth and https://docs.slack.dev/reference/methods/oauth.v2.access
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from app.sandbox.slack.sandbox import SlackSandbox

_PAGE = Environment(autoescape=True, trim_blocks=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Install - Slack sandbox</title></head>
<body><main><p>SANDBOX &middot; this is not Slack</p>
<h1>{{ client_id }} wants to be installed</h1><p>It may: {{ scope }}</p>
<form method="post">{% for id, name in places.items() %}
<label><input type="radio" name="place" value="{{ id }}" required> {{ name }}</label>
{% endfor %}<button name="decision" value="deny" formnovalidate>Cancel</button>
<button name="decision" value="allow">Allow</button></form></main></body></html>
""")


@dataclass(frozen=True, slots=True)
class _Granted:
    place: str
    redirect_uri: str
    scope: str


class SlackInstalls:
    """The part of Slack that installs one app. Lives for the process; serve `app`, which includes the Web API.

    Args:
        slack: The Slack whose tokens it issues.
        client_id: The app's client id.
        client_secret: The app's client secret.
        redirect_uri: The only URL to which browsers are sent back.
        places: The names of the workspaces, "T…", and organisations, "E…", where the app can be installed, by id.
        organisations: The organisation of each workspace that is part of one.

    Attributes:
        app: The ASGI application.
    """

    def __init__(
        self,
        slack: SlackSandbox,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        places: Mapping[str, str],
        organisations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._slack = slack
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._places = places
        self._organisations = organisations
        self._codes: dict[str, _Granted] = {}
        self._tokens: dict[str, str] = {}
        self.app = Starlette(
            routes=[
                Route("/oauth/v2/authorize", self._authorize, methods=["GET", "POST"]),
                Route("/api/oauth.v2.access", self._access, methods=["POST"]),
                Mount("/", slack.app),
            ]
        )

    @property
    def tokens(self) -> dict[str, str]:
        """Return the bot token of each place where the app is installed."""
        return {place: token for place, token in self._tokens.items() if self._slack.takes(token)}

    def uninstall(self, place: str) -> dict[str, Any]:
        """Remove the app from a place, which revokes its token. Return the event that Slack sends."""
        self._slack.forget(self._tokens.pop(place))
        return self._slack.notice({"type": "app_uninstalled"}, place)

    def revoke(self, place: str) -> dict[str, Any]:
        """Revoke a place's bot token alone. Return the event that Slack sends."""
        self._slack.forget(self._tokens.pop(place))
        return self._slack.notice({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0BOT"]}}, place)

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        if query.get("client_id") != self._client_id:
            return HTMLResponse("invalid_client_id", 400)
        if query.get("redirect_uri") != self._redirect_uri:
            return HTMLResponse("bad_redirect_uri", 400)
        scope, state = query.get("scope", ""), query.get("state", "")
        if not scope:
            return HTMLResponse("invalid_scope", 400)
        if request.method == "GET":
            return HTMLResponse(_PAGE.render(client_id=self._client_id, scope=scope, places=self._places))
        async with request.form() as form:
            place, allowed = str(form.get("place", "")), form.get("decision") == "allow"
        answer = {"error": "access_denied", "state": state}
        if allowed and place in self._places:
            code = secrets.token_urlsafe(24)
            self._codes[code] = _Granted(place, self._redirect_uri, scope)
            answer = {"code": code, "state": state}
        return RedirectResponse(f"{self._redirect_uri}?{urlencode(answer)}", 302)

    async def _access(self, request: Request) -> Response:
        async with request.form() as form:
            code, redirect_uri = str(form.get("code", "")), form.get("redirect_uri")
        granted = self._codes.pop(code, None)  # a code works once, even if the exchange fails
        if not self._is_client(request.headers.get("authorization", "")):
            return JSONResponse({"ok": False, "error": "bad_client_secret"})
        if granted is None:
            return JSONResponse({"ok": False, "error": "invalid_code"})
        if redirect_uri != granted.redirect_uri:
            return JSONResponse({"ok": False, "error": "bad_redirect_uri"})
        return JSONResponse(self._install(granted))

    def _install(self, granted: _Granted) -> dict[str, Any]:
        place = granted.place
        whole_organisation = place.startswith("E")
        organisation = place if whole_organisation else self._organisations.get(place)
        if place in self.tokens:
            self._slack.forget(self.tokens[place])
        self._tokens[place] = f"xoxb-{place}-{secrets.token_hex(12)}"
        self._slack.admit(place, self._tokens[place], organisation=organisation, scopes=granted.scope.split(","))
        return {
            "ok": True,
            "access_token": self._tokens[place],
            "token_type": "bot",
            "scope": granted.scope,
            "bot_user_id": "U0BOT",
            "app_id": "A0SANDBOX",
            "team": None if whole_organisation else self._named(place),
            "enterprise": self._named(organisation) if organisation else None,
            "is_enterprise_install": whole_organisation,
            "authed_user": {"id": "U0ADMIN"},
        }

    def _named(self, place: str) -> dict[str, str]:
        return {"id": place, "name": self._places.get(place, place)}

    def _is_client(self, authorization: str) -> bool:
        """Return whether the request carries the client's own id and secret (RFC 6749 §2.3.1)."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            return False
        own = f"{self._client_id}:{self._client_secret}".encode()
        return scheme.lower() == "basic" and hmac.compare_digest(given, own)
