"""Google's sign-in: the consent page's address, and tokens got, renewed and ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlencode

import httpx2
import urllib3

from app.errors import CallbackRefusedError, GoogleError, InvalidGrantError
from app.google.endpoints import GoogleEndpoints
from app.google.id_token import verified_account
from app.google.reasons import oauth_reason
from app.google.token_endpoint import HTTP_TIMEOUT_SECONDS, post_form, read_tokens
from app.google.tokens import GoogleAccount, GoogleTokens

__all__ = ["HTTP_TIMEOUT_SECONDS", "GoogleAccount", "GoogleAuth", "GoogleTokens"]

SIGN_IN_SCOPES = ("openid", "email")  # they make Google say whose account it is


class GoogleAuth:
    """The OAuth client that Deputy is at Google. Lives as long as the process; holds nothing of a person's.

    Args:
        endpoints: Where Google's sign-in is.
        client_id: The client's id.
        client_secret: Its secret.
        redirect_uri: Where Google sends the browser back to; one constant from the settings, never from a request.
        http: For tokens; give it a cookie jar that keeps nothing, as everybody shares it.
        pool: For the certificates of id_tokens.
        now: The time, POSIX seconds.
    """

    def __init__(
        self,
        endpoints: GoogleEndpoints,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        http: httpx2.AsyncClient,
        pool: urllib3.PoolManager,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._http = http
        self._pool = pool
        self._now = now

    def authorization_url(
        self,
        *,
        oauth_scopes: Iterable[str],
        state: str,
        nonce: str,
        code_challenge: str,
        login_hint: str | None = None,
        include_granted_scopes: bool = False,
    ) -> str:
        """The consent page's address, https://developers.google.com/identity/protocols/oauth2/web-server.

        Args:
            oauth_scopes: What to ask for; ``openid`` and ``email`` are added.
            state: Comes back to the redirect URI.
            nonce: Comes back in the id_token.
            code_challenge: The S256 challenge, of `app.google.pkce.code_challenge`.
            login_hint: The address or subject of the account that ought to be chosen.
            include_granted_scopes: Whether the grant takes in all that the account granted before. Only for more
                scopes on a link that exists: on a first one, a forwarded link would get what its victim once granted.
        """
        query = {
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "response_type": "code",
            "scope": " ".join((*SIGN_IN_SCOPES, *sorted(set(oauth_scopes) - set(SIGN_IN_SCOPES)))),
            "state": state,
            "nonce": nonce,
            "code_challenge": code_challenge,
            "code_challenge_method": "S256",
            "access_type": "offline",
            # Without `consent` only a first grant has a refresh token; without `select_account` a shared browser
            # links whoever used it last.
            "prompt": "consent select_account",
        }
        if login_hint:
            query["login_hint"] = login_hint
        if include_granted_scopes:
            query["include_granted_scopes"] = "true"
        return f"{self._endpoints.authorize}?{urlencode(query)}"

    async def exchange(self, *, code: str, code_verifier: str, nonce: str) -> GoogleTokens:
        """Redeem the code of a callback, and make sure whose account it is.

        Raises:
            CallbackRefusedError: The code is used, expired or of another consent; the id_token is not for this client,
                this consent and a verified address; or there is no refresh token.
            GoogleError: Google answered with another error, or not at all.
        """
        form = {"code": code, "code_verifier": code_verifier, "redirect_uri": self._redirect_uri}
        try:
            tokens, id_token = await self._ask_for_tokens("authorization_code", form)
        except InvalidGrantError:
            raise CallbackRefusedError("Google does not take this code; ask for a new link") from None
        account = await asyncio.to_thread(
            verified_account,
            id_token,
            nonce=nonce,
            client_id=self._client_id,
            endpoints=self._endpoints,
            pool=self._pool,
        )
        if not tokens.refresh_token:
            raise CallbackRefusedError(
                "Google gave no refresh token; remove Deputy at https://myaccount.google.com/connections and try again"
            )
        return replace(tokens, account=account)

    async def refresh(self, refresh_token: str) -> GoogleTokens:
        """Get a new access token. Where Google rotates refresh tokens, the result has the new one and the old one ends.

        Raises:
            InvalidGrantError: The grant is over: revoked, expired, or this refresh token was replaced.
            GoogleError: Google answered with another error, or not at all; the grant may well be alive.
        """
        tokens, _ = await self._ask_for_tokens("refresh_token", {"refresh_token": refresh_token})
        return tokens

    async def revoke(self, token: str) -> None:
        """End the whole grant that an access or refresh token belongs to; one that has ended already counts as done.

        Google ends all that the account granted to this client, so also what it granted to another chat user's link.

        Raises:
            GoogleError: Google answered with an error, or not at all; the grant may be alive.
        """
        status, body = await post_form(self._http, self._endpoints.revoke, {"token": token})
        reason = oauth_reason(body)
        if status != 200 and reason != "invalid_token":
            raise GoogleError(f"Google answered {status} to a revocation", status=status, reason=reason)

    async def _ask_for_tokens(self, grant_type: str, form: dict[str, str]) -> tuple[GoogleTokens, str]:
        """The tokens and the id_token, "" where there is none."""
        asked_at = self._now()  # before the call, so that a token never counts as alive after its end
        client = {"client_id": self._client_id, "client_secret": self._client_secret, "grant_type": grant_type}
        status, body = await post_form(self._http, self._endpoints.token, client | form)
        if status != 200:
            reason = oauth_reason(body)
            kind = InvalidGrantError if reason == "invalid_grant" else GoogleError
            raise kind(f"Google answered {status} to a token request ({reason})", status=status, reason=reason)
        return read_tokens(body, asked_at)
