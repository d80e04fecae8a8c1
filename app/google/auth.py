"""Google's sign-in: the consent page's address, and tokens got, renewed and ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlencode

import urllib3

from app.errors import CallbackRefusedError, InvalidGrantError
from app.google.endpoints import GoogleEndpoints
from app.google.id_token import claimed_account, verified_account
from app.google.retrying import retried
from app.google.token_endpoint import HTTP_TIMEOUT_SECONDS, TokenEndpoint, read_tokens
from app.google.tokens import GoogleAccount, GoogleTokens, RedeemedCode

SIGN_IN_SCOPES = ("openid", "email")  # they make Google say whose account it is

_CODE_REFUSED = "Google does not accept this sign-in any more. Write `connect google` in the chat for a new link"
_NO_LASTING_ACCESS = (
    "Google gave no lasting access. Remove Deputy at https://myaccount.google.com/connections, then write "
    "`connect google` in the chat for a new link"
)


class GoogleAuth:
    """The OAuth client that Deputy is at Google. Lives as long as the process; holds nothing of a person's.

    Args:
        endpoints: Where Google's sign-in is.
        client_id: The client's id.
        client_secret: Its secret.
        redirect_uri: Where Google sends the browser back to; one constant from the settings, never from a request.
        token_endpoint: For tokens.
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
        token_endpoint: TokenEndpoint,
        pool: urllib3.PoolManager,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._token_endpoint = token_endpoint
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
        """Return the consent page's address, https://developers.google.com/identity/protocols/oauth2/web-server.

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

    async def redeem(self, *, code: str, code_verifier: str, oauth_scopes: frozenset[str]) -> RedeemedCode:
        """Exchange the code of a callback; whose account it is remains to be verified.

        Args:
            code: As it came back.
            code_verifier: Of the challenge that was sent along.
            oauth_scopes: What was asked for: an answer that does not say what it grants grants that.

        Raises:
            CallbackRefusedError: The code is used, expired or of another consent.
            GoogleError: Google answered with another error, or not at all.
        """
        form = {"code": code, "code_verifier": code_verifier, "redirect_uri": self._redirect_uri}
        asked_for = " ".join((*SIGN_IN_SCOPES, *oauth_scopes))
        try:
            tokens, id_token = await self._ask_for_tokens("authorization_code", form, default_scope=asked_for)
        except InvalidGrantError:
            raise CallbackRefusedError(_CODE_REFUSED) from None
        return RedeemedCode(tokens, id_token, claimed_account(id_token))

    async def verify(self, redeemed: RedeemedCode, *, nonce: str) -> GoogleTokens:
        """Make sure whose account it is that a code was of; return its tokens with the account.

        Raises:
            CallbackRefusedError: The id_token is not for this client, this consent and a verified address; or there
                is no refresh token.
            GoogleError: The certificates could not be fetched.
        """
        ends = time.monotonic() + HTTP_TIMEOUT_SECONDS

        async def look() -> GoogleAccount:
            return await asyncio.to_thread(
                verified_account,
                redeemed.id_token,
                nonce=nonce,
                client_id=self._client_id,
                endpoints=self._endpoints,
                pool=self._pool,
            )

        account = await retried(look, seconds_left=lambda: ends - time.monotonic())
        if not redeemed.tokens.refresh_token:
            raise CallbackRefusedError(_NO_LASTING_ACCESS)
        return replace(redeemed.tokens, account=account)

    async def refresh(self, refresh_token: str) -> GoogleTokens:
        """Return a new access token. Where Google rotates refresh tokens, the new one is with it and the old one ends.

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
        form = {"token": token}
        await self._token_endpoint.post(self._endpoints.revoke, form, "a revocation", accepted=("invalid_token",))

    async def _ask_for_tokens(
        self, grant_type: str, form: dict[str, str], *, default_scope: str = ""
    ) -> tuple[GoogleTokens, str]:
        """Return the tokens and the id_token, "" where there is none."""
        asked_at = self._now()  # before the call, so that a token never counts as alive after its end
        client = {"client_id": self._client_id, "client_secret": self._client_secret, "grant_type": grant_type}
        body = await self._token_endpoint.post(self._endpoints.token, client | form, "a token request")
        return read_tokens(body, asked_at, default_scope=default_scope)
