"""Deputy as an OAuth client of a provider that a description describes."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from app.errors import CallbackRefusedError, InvalidGrantError, ProviderError
from app.oauth.answers import field_at, read_answer
from app.oauth.authorization import AuthorizationRequest
from app.oauth.calls import answered_with, send
from app.oauth.description import ClientAuthentication, Endpoints, ProviderDescription, RevocationWay, WhoAmI
from app.oauth.id_token import account_of_id_token, claimed_in_id_token
from app.oauth.metadata import fetch_endpoints
from app.oauth.token_endpoint import TokenEndpoint, json_object
from app.oauth.tokens import NOBODY, ProviderAccount, ProviderTokens, RedeemedCode

_ENDED_ALREADY = (
    "invalid_token",
    "token_revoked",
    "token_expired",
    "invalid_auth",
    "account_inactive",
    "invalid_grant",
)


class OAuthProvider:
    """One provider of the settings. Lives as long as the process and holds no personal data.

    Args:
        name: Its name in the settings.
        description: In what it differs from others.
        client_id: The client's id.
        client_secret: The client's secret; "" for a public client.
        redirect_uri: The URL to which it sends browsers back, its own alone; from the settings, never from a request.
        token_endpoint: Posts its forms.
        http: For its other endpoints; keeps no cookies.
        now: The time, POSIX seconds.
    """

    def __init__(
        self,
        name: str,
        description: ProviderDescription,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        token_endpoint: TokenEndpoint,
        http: httpx2.AsyncClient,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.title = description.title
        self.permits = description.permits
        self._description = description
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._token_endpoint = token_endpoint
        self._http = http
        self._now = now
        self._endpoints = description.endpoints

    @property
    def manage_url(self) -> str | None:
        """Return the page on which people remove access themselves, if it has one."""
        return self._description.manage_url

    @property
    def ends_all(self) -> bool:
        """Return whether a revocation ends everything that the account granted to this client."""
        return self._description.ends_all

    @property
    def identity_scopes(self) -> frozenset[str]:
        """Return the OAuth scopes that are asked for with every sign-in."""
        return frozenset(self._description.sign_in_scopes)

    def permission(self, oauth_scope: str) -> str:
        """Return in words what an OAuth scope permits, or the scope itself."""
        return self._description.words.get(oauth_scope, oauth_scope)

    async def get_ready(self) -> None:
        """Fetch where the provider's OAuth is, if the settings name its issuer alone.

        Raises:
            ProviderError: It does not say, or it says that it is another one.
        """
        if self._endpoints is None:
            assert self._description.discover is not None
            self._endpoints = await fetch_endpoints(self._http, self._description.discover, self.title)

    def authorization_url(self, asked: AuthorizationRequest) -> str:
        """Return the consent page's address; await `get_ready` before.

        Scopes that an account has granted before are asked for by name, so `include_granted_scopes` adds nothing.
        """
        page = self._description
        scopes = (*page.sign_in_scopes, *sorted(asked.oauth_scopes - set(page.sign_in_scopes)))
        query = {
            **page.parameters,
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "response_type": "code",
            "state": asked.state,
            **({page.scope_parameter: page.scope_separator.join(scopes)} if scopes else {}),
            **({"code_challenge": asked.code_challenge, "code_challenge_method": "S256"} if page.pkce else {}),
            **({"nonce": asked.nonce} if page.whoami is None else {}),
            **({"login_hint": asked.login_hint} if asked.login_hint and page.whoami is None else {}),
            **({"resource": page.resource} if page.resource else {}),
        }
        authorize = self._ready().authorize
        return f"{authorize}{'&' if '?' in authorize else '?'}{urlencode(query)}"

    def check_callback(self, issuer: str | None) -> None:
        """Return if a callback with this `iss` can be this provider's (RFC 9207).

        Raises:
            CallbackRefusedError: It names another issuer, or none although this provider always does.
        """
        endpoints = self._endpoints
        if endpoints is None:
            wrong = issuer not in (None, self._description.discover)
        else:
            wrong = endpoints.says_issuer if issuer is None else not endpoints.is_issuer(issuer)
        if wrong:
            raise CallbackRefusedError(f"this answer is not from {self.title}, so nothing was connected")

    async def redeem(self, *, code: str, code_verifier: str, oauth_scopes: frozenset[str]) -> RedeemedCode:
        """Exchange the code of a callback for tokens; the account still has to be verified.

        Raises:
            CallbackRefusedError: The code was used, has expired, or belongs to another consent.
            ProviderError: The provider answered with another error, or not at all.
        """
        await self.get_ready()
        form = {"code": code, "redirect_uri": self._redirect_uri}
        if self._description.pkce:
            form["code_verifier"] = code_verifier
        try:
            asked_for = oauth_scopes | self.identity_scopes
            tokens, answer = await self._ask_for_tokens("authorization_code", form, asked_for, first=True)
        except InvalidGrantError:
            raise CallbackRefusedError(
                f"{self.title} does not accept this sign-in any more. Write `connect {self.name}` in the chat for a "
                "new link"
            ) from None
        id_token = answer.get("id_token")
        id_token = id_token if isinstance(id_token, str) else ""
        whoami = self._description.whoami
        claimed = NOBODY
        if whoami is None:
            claimed = claimed_in_id_token(id_token, self._description.subject_claims)
        elif whoami.url is None:
            claimed = _account(whoami, answer) or NOBODY
        return RedeemedCode(tokens, id_token, claimed)

    async def verify(self, redeemed: RedeemedCode, *, nonce: str) -> ProviderTokens:
        """Verify which account a code belongs to, and return its tokens with the account.

        An account that the token answer names came over TLS from the token endpoint itself.

        Raises:
            CallbackRefusedError: The provider names no account, or the id_token is not valid for this consent.
            ProviderError: The provider did not answer.
        """
        whoami = self._description.whoami
        if whoami is None:
            account = await account_of_id_token(
                self._http,
                redeemed.id_token,
                self._ready(),
                self.title,
                client_id=self._client_id,
                nonce=nonce,
                subject_claims=self._description.subject_claims,
            )
        elif whoami.url is None:
            account = redeemed.claimed
        else:
            account = await self._ask_who(whoami, whoami.url, redeemed.tokens.access_token)
        if not account.subject:
            raise CallbackRefusedError(f"{self.title} did not say whose account this is, so nothing was connected")
        return replace(redeemed.tokens, account=account)

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        """Return a new access token; if refresh tokens rotate, with a new refresh token that replaces this one.

        Raises:
            InvalidGrantError: The grant has ended.
            ProviderError: The provider answered with another error, or not at all.
        """
        await self.get_ready()
        tokens, _ = await self._ask_for_tokens(
            "refresh_token", {"refresh_token": refresh_token}, frozenset(), first=False
        )
        return tokens

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        """End the grant that a token belongs to; return whether it has ended, False where the provider cannot do it.

        Where only a living access token ends a grant, the refresh token is first exchanged for one.

        Raises:
            ProviderError: The provider answered with an error, or not at all; the grant may still be valid.
        """
        if self._description.revocation is RevocationWay.NONE:
            return False
        await self.get_ready()
        url = self._ready().revoke
        if url is None:
            return False
        if is_refresh_token and self._description.revokes_access_tokens:
            try:
                token = (await self.refresh(token)).access_token
            except InvalidGrantError:
                return True  # the grant had ended before
        if self._description.revocation is RevocationWay.GITHUB:
            await self._delete_grant(f"{url}/{quote(self._client_id, safe='')}/grant", token)
            return True
        form, headers = self._authenticated()
        if self._description.revocation is RevocationWay.SLACK:
            form, headers = {}, {"Authorization": f"Bearer {token}"}
        else:
            form = {**form, "token": token}
        await self._token_endpoint.post(
            url,
            form,
            "a revocation",
            accepted=_ENDED_ALREADY,
            headers={**self._description.headers, **headers},
            as_json=self._description.asks_json,
        )
        return True

    async def _ask_for_tokens(
        self, grant_type: str, form: Mapping[str, str], default: frozenset[str], *, first: bool
    ) -> tuple[ProviderTokens, Mapping[str, Any]]:
        asked_at = self._now()  # before the call, so that a token never counts as valid after it has expired
        client, headers = self._authenticated()
        resource = {"resource": self._description.resource} if self._description.resource else {}
        body = await self._token_endpoint.post(
            self._ready().token,
            {**form, **client, **resource, "grant_type": grant_type},
            "a token request",
            headers={**self._description.headers, **headers},
            as_json=self._description.asks_json,
        )
        return read_answer(body, self._description, asked_at, default=default, first=first)

    def _authenticated(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the fields and the headers by which the client says who it is."""
        match self._description.client_authentication:
            case ClientAuthentication.BASIC:
                # RFC 6749 section 2.3.1: both parts are form-encoded before.
                pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
                return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
            case ClientAuthentication.POST:
                return {"client_id": self._client_id, "client_secret": self._client_secret}, {}
        return {"client_id": self._client_id}, {}

    async def _ask_who(self, whoami: WhoAmI, url: str, access_token: str) -> ProviderAccount:
        headers = {"Accept": "application/json", **self._description.headers, "Authorization": f"Bearer {access_token}"}
        method, body = ("GET", None) if whoami.query is None else ("POST", {"query": whoami.query})
        response = await send(self._http, self.title, method, url, headers, body, "the question whose account it is")
        return (_account(whoami, json_object(response.content)) if response.status_code == 200 else None) or NOBODY

    async def _delete_grant(self, url: str, token: str) -> None:
        """Delete the grant of a token, if there is one.

        https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-authorization
        """
        pair = base64.b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        headers = {"Accept": "application/vnd.github+json", "Authorization": f"Basic {pair}"}
        response = await send(self._http, self.title, "DELETE", url, headers, {"access_token": token}, "a revocation")
        if response.status_code not in (204, 404, 422):
            raise answered_with(response, self.title, "a revocation")

    def _ready(self) -> Endpoints:
        if self._endpoints is None:
            raise ProviderError(f"{self.title} has not said yet where its sign-in is", provider=self.title)
        return self._endpoints


def _account(whoami: WhoAmI, answer: object) -> ProviderAccount | None:
    """Return the account that an answer names; None if it lacks a part of the subject."""
    parts = [field_at(answer, path) for path in whoami.subject]
    if None in parts:
        return None
    subject = ":".join(map(str, parts))
    shown = next((found for path in whoami.shown if (found := field_at(answer, path))), subject)
    return ProviderAccount(subject[:255], shown[:320])
