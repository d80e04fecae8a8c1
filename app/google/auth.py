"""Google's sign-in: the consent page's address, and getting, renewing and revoking tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import urllib3

from app.errors import CallbackRefusedError, InvalidGrantError
from app.google.endpoints import GoogleEndpoints
from app.google.id_token import claimed_account, verified_account
from app.google.scopes import IDENTITY_SCOPES, PERMITS
from app.oauth.authorization import AuthorizationRequest
from app.oauth.provider import GOOGLE
from app.oauth.retrying import retried
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS, TokenEndpoint, read_tokens
from app.oauth.tokens import ProviderAccount, ProviderTokens, RedeemedCode

SIGN_IN_SCOPES = ("openid", "email")  # make Google name the account

_CODE_REFUSED = "Google does not accept this sign-in any more. Write `connect google` in the chat for a new link"
_NO_LASTING_ACCESS = (
    "Google gave no lasting access. Remove Deputy at https://myaccount.google.com/connections, then write "
    "`connect google` in the chat for a new link"
)


class GoogleAuth:
    """Deputy as an OAuth client of Google. Lives as long as the process and holds no personal data.

    Args:
        endpoints: Where Google's sign-in is.
        client_id: The client's id.
        client_secret: The client's secret.
        redirect_uri: The URL to which Google sends the browser back; from the settings, never from a request.
        token_endpoint: Gets, renews and revokes tokens.
        pool: Fetches the certificates of id_tokens.
        permission: Returns in words what an OAuth scope permits.
        now: The time, POSIX seconds.
    """

    name = GOOGLE
    title = "Google"
    manage_url = "https://myaccount.google.com/connections"
    ends_all = True
    identity_scopes = IDENTITY_SCOPES

    def __init__(
        self,
        endpoints: GoogleEndpoints,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        token_endpoint: TokenEndpoint,
        pool: urllib3.PoolManager,
        permission: Callable[[str], str] = str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints = endpoints
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._token_endpoint = token_endpoint
        self._pool = pool
        self._permission = permission
        self.permits = PERMITS
        self._now = now

    def permission(self, oauth_scope: str) -> str:
        """Return in words what an OAuth scope permits, or the scope itself."""
        return self._permission(oauth_scope)

    async def get_ready(self) -> None:
        """Return at once: the endpoints are known."""

    def check_callback(self, issuer: str | None) -> None:
        """Return if a callback with this `iss` can be Google's, which sends one today and did not always.

        Raises:
            CallbackRefusedError: It is another provider's.
        """
        if issuer is not None and issuer.removeprefix("https://") != self._endpoints.issuer.removeprefix("https://"):
            raise CallbackRefusedError("this answer is not from Google, so nothing was connected")

    def authorization_url(self, asked: AuthorizationRequest) -> str:
        """Return the consent page's address, https://developers.google.com/identity/protocols/oauth2/web-server."""
        query = {
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "response_type": "code",
            "scope": " ".join((*SIGN_IN_SCOPES, *sorted(asked.oauth_scopes - set(SIGN_IN_SCOPES)))),
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": asked.code_challenge,
            "code_challenge_method": "S256",
            "access_type": "offline",
            # Without `consent`, only a first grant has a refresh token; without `select_account`, a shared browser
            # connects the account that was used last.
            "prompt": "consent select_account",
        }
        if asked.login_hint:
            query["login_hint"] = asked.login_hint
        if asked.include_granted_scopes:
            query["include_granted_scopes"] = "true"
        return f"{self._endpoints.authorize}?{urlencode(query)}"

    async def redeem(self, *, code: str, code_verifier: str, oauth_scopes: frozenset[str]) -> RedeemedCode:
        """Exchange the code of a callback for tokens; the account still has to be verified.

        Args:
            code: The code as it came back.
            code_verifier: The verifier of the challenge that was sent.
            oauth_scopes: The scopes that were asked for; an answer that names none grants these.

        Raises:
            CallbackRefusedError: The code was used, has expired, or belongs to another consent.
            GoogleError: Google answered with another error, or not at all.
        """
        form = {"code": code, "code_verifier": code_verifier, "redirect_uri": self._redirect_uri}
        asked_for = " ".join((*SIGN_IN_SCOPES, *oauth_scopes))
        try:
            tokens, id_token = await self._ask_for_tokens("authorization_code", form, default_scope=asked_for)
        except InvalidGrantError:
            raise CallbackRefusedError(_CODE_REFUSED) from None
        return RedeemedCode(tokens, id_token, claimed_account(id_token))

    async def verify(self, redeemed: RedeemedCode, *, nonce: str) -> ProviderTokens:
        """Verify which account a code belongs to, and return its tokens with the account.

        Raises:
            CallbackRefusedError: The id_token is not for this client, this consent and a verified address, or there
                is no refresh token.
            GoogleError: The certificates could not be fetched.
        """
        ends = time.monotonic() + HTTP_TIMEOUT_SECONDS

        async def look() -> ProviderAccount:
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

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        """Return a new access token; if Google rotates refresh tokens, with a new refresh token that replaces this one.

        Raises:
            InvalidGrantError: The grant has ended: it was revoked, has expired, or this refresh token was replaced.
            GoogleError: Google answered with another error, or not at all; the grant may still be valid.
        """
        tokens, _ = await self._ask_for_tokens("refresh_token", {"refresh_token": refresh_token})
        return tokens

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        """Revoke the whole grant that an access or refresh token belongs to, unless it has already ended; return True.

        Google revokes everything that the account granted to this client, including through another person's link.

        Raises:
            GoogleError: Google answered with an error, or not at all; the grant may still be valid.
        """
        form = {"token": token}
        await self._token_endpoint.post(self._endpoints.revoke, form, "a revocation", accepted=("invalid_token",))
        return True

    async def _ask_for_tokens(
        self, grant_type: str, form: dict[str, str], *, default_scope: str = ""
    ) -> tuple[ProviderTokens, str]:
        """Return the tokens and the id_token, or "" if it is missing."""
        asked_at = self._now()  # before the call, so that a token never counts as valid after it has expired
        client = {"client_id": self._client_id, "client_secret": self._client_secret, "grant_type": grant_type}
        body = await self._token_endpoint.post(self._endpoints.token, client | form, "a token request")
        return read_tokens(body, asked_at, default_scope=default_scope)
