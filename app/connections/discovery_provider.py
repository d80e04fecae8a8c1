"""The authorization server of an MCP server, discovered: a provider of accounts as any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import httpx2

from app.connections.discovery import Discovered, Discovery
from app.connections.discovery_clients import DiscoveredClients, OAuthClient
from app.connections.discovery_introduction import NOT_KNOWN, Introduction
from app.errors import CallbackRefusedError, InvalidGrantError, ProviderError
from app.oauth.authorization import AuthorizationRequest
from app.oauth.client import OAuthProvider
from app.oauth.description import ProviderDescription, RevocationWay
from app.oauth.metadata import is_same_issuer
from app.oauth.token_endpoint import TokenEndpoint
from app.oauth.tokens import ProviderAccount, ProviderTokens, RedeemedCode
from app.single_flight import SingleFlight

FRESH_SECONDS = 300.0  # after that the metadata is asked for again …
_USABLE_SECONDS = 3600.0  # … and while it cannot be, it counts for so long
# Most MCP servers name nobody: each person has one account there, and it is called by the server's name.
_ONLY_ACCOUNT = "account"
_NOBODYS_CODE, _ANY_VERIFIER = "deputy-asks", "-" * 43


@dataclass(frozen=True, slots=True)
class _Known:
    """The authorization server, the client there, and the provider that signs people in with it."""

    issuer: str
    client: OAuthClient
    provider: OAuthProvider
    at: float


class DiscoveredProvider:
    """Signs people in where an MCP server says. Lives as long as the process and holds no personal data.

    The metadata is nobody's and is kept for five minutes. Deputy's client is its metadata document, where the
    authorization server takes such, or is registered, once for all processes.

    Args:
        name: The server's name in the settings.
        title: Its name for people.
        discovery: Finds the authorization server.
        clients: Keeps the authorization server that was found first.
        introduction: Introduces Deputy there.
        token_endpoint: Posts its forms.
        http: For its other endpoints; keeps no cookies.
        now: A clock that only goes forward, in seconds.
    """

    manage_url = None
    ends_all = False

    def __init__(
        self,
        name: str,
        title: str,
        discovery: Discovery,
        clients: DiscoveredClients,
        introduction: Introduction,
        *,
        token_endpoint: TokenEndpoint,
        http: httpx2.AsyncClient,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.title = title
        self.permits: Mapping[str, frozenset[str]] = MappingProxyType({})  # its server does not say
        self._discovery = discovery
        self._clients = clients
        self._introduction = introduction
        self._token_endpoint = token_endpoint
        self._http = http
        self._now = now
        self._known: _Known | None = None
        self._asking: SingleFlight[str, None] = SingleFlight()

    @property
    def identity_scopes(self) -> frozenset[str]:
        """Return the OAuth scopes that are asked for with every sign-in, as far as they are known."""
        return self._known.provider.identity_scopes if self._known else frozenset()

    def permission(self, oauth_scope: str) -> str:
        """Return the scope itself: its server has given it no words."""
        return oauth_scope

    async def get_ready(self) -> None:
        """Find the authorization server, and introduce Deputy to it, unless both are known.

        Raises:
            ProviderError: That is not possible.
        """
        kept = await self.kept()
        if self._known is not None and kept is not None and not is_same_issuer(self._known.issuer, kept):
            self._known = None  # an administrator has accepted another one, and no token of it may go to this one
        age = self._now() - self._known.at if self._known else _USABLE_SECONDS
        if age < FRESH_SECONDS:
            return
        try:
            await self._asking.join(self.name, self._get_ready)
        except ProviderError as error:
            if not error.passes or age >= _USABLE_SECONDS:
                self._known = None
                raise

    def authorization_url(self, asked: AuthorizationRequest) -> str:
        """Return the consent page's address; await `get_ready` before."""
        hint = None if asked.login_hint == _ONLY_ACCOUNT else asked.login_hint
        return self._ready().provider.authorization_url(replace(asked, login_hint=hint))

    def check_callback(self, issuer: str | None) -> None:
        """Return if a callback with this `iss` can be this provider's; await `get_ready` before.

        Raises:
            CallbackRefusedError: It names another issuer, or none although this one always does.
        """
        self._ready().provider.check_callback(issuer)

    async def redeem(self, *, code: str, code_verifier: str, oauth_scopes: frozenset[str]) -> RedeemedCode:
        """Exchange the code of a callback for tokens; raises as `OAuthProvider.redeem`."""
        await self.get_ready()
        known = self._ready()
        try:
            return await known.provider.redeem(code=code, code_verifier=code_verifier, oauth_scopes=oauth_scopes)
        except ProviderError as error:
            if not await self._forgets(known, error):
                raise
        raise CallbackRefusedError(
            f"{self.title} no longer knows this assistant, so nothing was connected. Write `connect {self.name}` in "
            "the chat for a new link"
        )

    async def verify(self, redeemed: RedeemedCode, *, nonce: str) -> ProviderTokens:
        """Return a code's tokens with the account that an id_token names, or the only one; raises as `OAuthProvider`'s.

        If nothing names the account, the person who confirms the sign-in in the chat knows which one they have chosen.
        """
        await self.get_ready()
        if redeemed.id_token:
            return await self._ready().provider.verify(redeemed, nonce=nonce)
        return replace(redeemed.tokens, account=ProviderAccount(_ONLY_ACCOUNT, self.title))

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        """Return a new access token; await `get_ready` before, so that this takes one call.

        Raises:
            InvalidGrantError: The grant has ended, or the server has forgotten the client that it belongs to.
            ProviderError: The provider answered with another error, or not at all.
        """
        if self._known is None:
            await self.get_ready()
        known = self._ready()
        try:
            return await known.provider.refresh(refresh_token)
        except ProviderError as error:
            if not await self._forgets(known, error):
                raise
        raise InvalidGrantError(f"{self.title} no longer knows this assistant", status=400, provider=self.title)

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        """End the grant that a token belongs to; return whether it has ended, False where that is not possible.

        Raises:
            ProviderError: The provider answered with an error, or not at all.
        """
        await self.get_ready()
        known = self._ready()
        try:
            return await known.provider.revoke(token, is_refresh_token=is_refresh_token)
        except ProviderError as error:
            if not await self._forgets(known, error):
                raise
        return True  # what a client was granted ends with it

    async def kept(self) -> str | None:
        """Return the authorization server that counts, the first one that was found; None before that."""
        return await self._clients.issuer(self.name)

    async def look(self, kept: str | None) -> tuple[Discovered, str]:
        """Return what the server says now, and in words how Deputy says there who it is; changes nothing.

        Args:
            kept: The authorization server that counts, where the server names several.

        Raises:
            ProviderError: It does not say, what it says is refused, or Deputy cannot be introduced there.
        """
        found = await self._discovery.find(kept)
        return found, self._introduction.in_words(found)

    async def accept(self) -> tuple[str, int] | None:
        """Let the authorization server count that the server names now; None if it counts already.

        Returns:
            That one, and how many accounts have to be connected again.

        Raises:
            ProviderError: It names none that can be used.
        """
        kept = await self.kept()
        found, _ = await self.look(kept)
        if kept is None or is_same_issuer(found.issuer, kept):
            return None
        self._known = None
        return found.issuer, await self._clients.accept_issuer(self.name, found.issuer)

    async def _get_ready(self) -> None:
        kept = await self.kept()
        found, _ = await self.look(kept)
        counts = kept or await self._clients.keep_issuer(self.name, found.issuer)
        if not is_same_issuer(found.issuer, counts):
            raise ProviderError(
                f"{self.title} names another authorization server than before, {found.issuer} instead of {counts}, so "
                f"nobody is sent there; `deputy mcp accept {self.name}` accepts it",
                status=200,
                provider=self.title,
            )
        known = await self._introduced(found, counts)
        if not await self._is_known(known) and await self._introduction.forget(known.client):
            known = await self._introduced(found, counts)
        self._known = known

    async def _introduced(self, found: Discovered, issuer: str) -> _Known:
        client = await self._introduction.client(found, issuer)
        return _Known(issuer, client, self._provider(found, client), self._now())

    async def _is_known(self, known: _Known) -> bool:
        """Return whether the authorization server still knows the client: many forget all of them with a restart.

        A code that nobody has is redeemed, because a client is checked before its code: RFC 6749 section 5.2. Otherwise
        people would be shown an error page there, of which nothing is heard here.
        """
        try:
            await known.provider.redeem(code=_NOBODYS_CODE, code_verifier=_ANY_VERIFIER, oauth_scopes=frozenset())
        except ProviderError as error:
            return error.reason not in NOT_KNOWN
        except CallbackRefusedError:
            pass
        return True

    def _provider(self, found: Discovered, client: OAuthClient) -> OAuthProvider:
        return OAuthProvider(
            self.name,
            ProviderDescription(
                title=self.title,
                endpoints=found.endpoints,
                whoami=None,
                api=(),
                client_authentication=client.authentication,
                revocation=RevocationWay.RFC7009,
                sign_in_scopes=found.scopes,
                resource=found.resource,
            ),
            client_id=client.client_id,
            client_secret=client.secret,
            redirect_uri=self._introduction.redirect_uri,
            token_endpoint=self._token_endpoint,
            http=self._http,
        )

    async def _forgets(self, known: _Known, error: ProviderError) -> bool:
        """Return whether an error says that the registered client is unknown; then it is forgotten here too."""
        if error.reason not in NOT_KNOWN or not await self._introduction.forget(known.client):
            return False
        self._known = None
        return True

    def _ready(self) -> _Known:
        if self._known is None:
            raise ProviderError(f"{self.title} has not said yet where its sign-in is", provider=self.title)
        return self._known
