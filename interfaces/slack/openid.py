"""Sign in with Slack (https://docs.slack.dev/authentication/sign-in-with-slack): identifies the person at a browser."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx2
import jwt

from app.errors import CallbackRefusedError, UnavailableError
from app.principal import Principal

_TIMEOUT_SECONDS = 10.0
_CLOCK_SKEW_SECONDS = 10
_CLAIM = "https://slack.com/"  # the prefix of Slack's own claims


class SlackLogin:
    """The app as a client of Slack's OpenID Connect; lives as long as the process and holds no personal data.

    Args:
        client_id: The app's client id.
        client_secret: The app's client secret.
        api_base_url: Where Slack's Web API is; ends with a slash.
        openid_root: Slack's issuer; its authorization page and its keys are below it.
        redirect_uri: The URL to which Slack sends the browser back; a constant from the settings.
        http: The client for both; its cookie jar must keep nothing, because everybody shares it.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        api_base_url: str,
        openid_root: str,
        redirect_uri: str,
        http: httpx2.AsyncClient,
    ) -> None:
        self._api_base_url = api_base_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._issuer = openid_root.rstrip("/")
        self._redirect_uri = redirect_uri
        self._http = http

    def login_url(self, principal: Principal, *, state: str, nonce: str) -> str:
        """Return the address of Slack's page where a browser signs in to this person's workspace."""
        query = {
            "response_type": "code",
            "scope": "openid",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "state": state,
            "nonce": nonce,
        }
        if principal.tenant.startswith("T"):
            query["team"] = principal.tenant
        return f"{self._issuer}/openid/connect/authorize?{urlencode(query)}"

    async def proves(self, principal: Principal, answer: Mapping[str, str], *, nonce: str) -> bool:
        """Return whether Slack confirms that this user of this workspace or organisation signed in.

        Raises:
            CallbackRefusedError: The person declined, or the code or the id_token is not valid.
            UnavailableError: Slack did not answer.
        """
        if "code" not in answer:
            raise CallbackRefusedError("you did not sign in to Slack, so nothing was connected")
        claims = await self._claims(await self._id_token(answer["code"]))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise CallbackRefusedError("Slack's answer is for another sign-in; ask for a new link")
        tenants = [claims.get(f"{_CLAIM}{kind}_id") for kind in ("team", "enterprise")]
        return claims.get(f"{_CLAIM}user_id") == principal.user and principal.tenant in tenants

    async def _id_token(self, code: str) -> str:
        """Redeem a code, https://docs.slack.dev/reference/methods/openid.connect.token.

        Not with slack_sdk, which sends the secret with a class that aiohttp is about to remove.
        """
        form = {
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "code": code,
            "redirect_uri": self._redirect_uri,
            "grant_type": "authorization_code",
        }
        answer = await self._ask("POST", f"{self._api_base_url}openid.connect.token", form)
        if answer.get("ok") is not True:
            raise CallbackRefusedError(f"Slack refuses this sign-in ({answer.get('error')}); ask for a new link")
        return str(answer.get("id_token"))

    async def _claims(self, id_token: str) -> dict[str, Any]:
        """Return the claims of an id_token, after checking its signature, issuer, audience and time."""
        keys = await self._keys()
        try:
            key = keys[str(jwt.get_unverified_header(id_token).get("kid"))]
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key,
                algorithms=["RS256"],  # Slack's own; the token cannot choose
                audience=self._client_id,
                issuer=self._issuer,
                leeway=_CLOCK_SKEW_SECONDS,
                options={"require": ["iss", "aud", "exp", "iat"]},
            )
        except (jwt.PyJWTError, KeyError):
            claims = {}
        if not claims:
            raise CallbackRefusedError("the id_token is not signed by Slack for this app, or is not valid now")
        return claims

    async def _keys(self) -> jwt.PyJWKSet:
        answer = await self._ask("GET", f"{self._issuer}/openid/connect/keys")
        try:
            return jwt.PyJWKSet.from_dict(answer)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise UnavailableError("Slack's keys cannot be read; try again") from None

    async def _ask(self, verb: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return Slack's answer, a JSON object."""
        answer: object = None
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                response = await self._http.request(verb, url, data=form, follow_redirects=False)
            answer = json.loads(response.raise_for_status().content)
        except (httpx2.HTTPError, TimeoutError, ValueError):
            pass  # the library's error would contain the form
        if not isinstance(answer, dict):
            raise UnavailableError("Slack's sign-in gave no answer; try again")
        return answer
