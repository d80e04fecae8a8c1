"""The page of a consent link, Google's callback, and the callback of a channel where people sign in."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.consent.browser import ASK_ADMINISTRATOR, BrowserSignIn
from app.consent.confirmation import Confirmation
from app.consent.link import Link
from app.consent.link_queries import BEFORE_GOOGLE
from app.consent.outcome import Connected, Disconnected, InProgress, NotConnected, SignedIn, WaitsForLogin
from app.errors import CallbackRefusedError, ConsentError, ProviderError, SealError, UnavailableError
from app.oauth.provider import GOOGLE, Providers
from app.principal import Principal
from interfaces.channel import ServedChannels
from interfaces.web.cookies import Cookies
from interfaces.web.formatting import Who, away, from_our_page, notice, page, who

log = logging.getLogger(__name__)

CALLBACK_PATH = "/oauth/{provider}/callback"
LOGIN_PATH = "/oauth/login/callback"
SIGN_IN_PATH = "/connect/{provider}/sign-in"
NOT_CONNECTED = "Not connected"


def callback_url(public_url: str, provider: str = GOOGLE) -> str:
    """Return the URL to which a provider sends browsers back; the OAuth client there must list exactly this one.

    Each provider has its own, so that one provider's answer is never taken for another's.
    """
    return public_url.rstrip("/") + CALLBACK_PATH.format(provider=provider)


def login_url(public_url: str) -> str:
    """Return the URL to which a channel sends the browser back after a sign-in; the channel's app must list it."""
    return public_url.rstrip("/") + LOGIN_PATH


class ConsentPages:
    """Handles the pages through which a person connects an account.

    It lives as long as the process and holds no consent.

    Args:
        providers: Describe themselves, and what an OAuth scope permits.
        channels: Know people's names.
        cookie_seconds: Lifetime of the cookie that marks the browser that opened a link; longer than a sign-in takes.
    """

    def __init__(
        self,
        sign_in: BrowserSignIn,
        confirmation: Confirmation,
        providers: Providers,
        channels: ServedChannels,
        cookies: Cookies,
        *,
        cookie_seconds: float,
    ) -> None:
        self._sign_in = sign_in
        self._confirmation = confirmation
        self._providers = providers
        self._channels = channels
        self._cookies = cookies
        self._cookie_seconds = cookie_seconds

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter(default_response_class=HTMLResponse)
        routes.add_api_route("/connect/{provider}/{token}", self.show_link, methods=["GET", "HEAD"])
        routes.add_api_route("/connect/{provider}/{token}", self.open_link, methods=["POST"])
        routes.add_api_route(LOGIN_PATH, self.log_in, methods=["GET"])  # before the path of which it is an instance
        routes.add_api_route(CALLBACK_PATH, self.come_back, methods=["GET"])
        routes.add_api_route(SIGN_IN_PATH + "/{link_id}", self.show_sign_in, methods=["GET"])
        return routes

    async def show_link(self, request: Request, provider: str, token: str) -> Response:
        """Show who asks for which permissions. Changes nothing, because chats fetch links to preview them.

        The browser gets its cookie here, so that a second press of the button is recognised as the same browser's.
        """
        try:
            link = await self._look_at(request, provider, token)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        if link.state not in BEFORE_GOOGLE:
            return _to_sign_in(link)
        response = page(
            "connect.html",
            f"Connect your {self._providers[provider].title} account",
            who=await self._who(link.principal),
            permissions=self._permissions(link, link.oauth_scopes),
            provider=self._providers[provider].title,
        )
        if self._cookies.find(request, link.link_id) is None:
            self._cookies.keep(response, link.link_id, secrets.token_urlsafe(32), seconds=self._cookie_seconds)
        return response

    async def open_link(self, request: Request, provider: str, token: str) -> Response:
        """Open the link for this browser and redirect it to the provider; doing it twice has the same effect."""
        if not from_our_page(request):
            return notice(NOT_CONNECTED, "Another page sent you here. Open the link from your chat.", status=403)
        kept = partial(self._cookies.find, request)
        try:
            link = await self._look_at(request, provider, token)
            if link.state not in BEFORE_GOOGLE:
                return _to_sign_in(link)
            url, opened = await self._sign_in.open(token, kept)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        except ProviderError as error:
            log.warning("a sign-in cannot begin: %s", error)
            title = self._providers[provider].title
            if error.passes:
                text = f"{title} did not answer. Open the link in your chat again to try once more"
            else:
                text = f"I cannot sign you in at {title}. {ASK_ADMINISTRATOR}"
            return notice(NOT_CONNECTED, text, status=502)
        response = away(url)
        self._cookies.keep(response, link.link_id, opened.cookie, seconds=self._cookie_seconds)
        return response

    async def come_back(
        self,
        request: Request,
        provider: str,
        state: str = "",
        code: str | None = None,
        error: str | None = None,
        iss: str | None = None,
    ) -> Response:
        """Handle a provider's answer, and redirect to a page whose address contains neither the code nor the state."""
        cookie = self._cookies.find(request, state.partition(".")[0])
        try:
            link = await self._sign_in.take_callback(
                state=state, cookie=cookie, code=code, error=error, provider=provider, issuer=iss
            )
        except ConsentError as refusal:
            return notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        return _to_sign_in(link)

    async def log_in(self, request: Request, state: str = "") -> Response:
        """Handle a channel's answer about who signed in there; this browser's cookie is required."""
        cookie = self._cookies.find(request, state.partition(".")[0])
        answer = dict(request.query_params)
        try:
            link = await self._confirmation.prove_by_login(state=state, cookie=cookie, answer=answer)
        except ConsentError as refusal:
            return notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        return _to_sign_in(link)

    async def show_sign_in(self, request: Request, provider: str, link_id: str) -> Response:
        """Show the state of this browser's sign-in; can be reloaded any number of times."""
        del provider  # the link says which
        try:
            signed_in = await self._sign_in.page(link_id, self._cookies.find(request, link_id))
        except ConsentError as refusal:
            return notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        return await self._show(signed_in)

    async def _look_at(self, request: Request, provider: str, token: str) -> Link:
        """Return the link behind a token, if it is one for this provider.

        Raises:
            ConsentError: It cannot be opened, or is for another provider.
        """
        link = await self._sign_in.look_at(token, partial(self._cookies.find, request))
        if link.provider != provider:
            raise CallbackRefusedError("this link is for another provider. Open it as it is in your chat")
        return link

    async def _show(self, signed_in: SignedIn) -> Response:
        """Return the page that shows the state of a sign-in."""
        if isinstance(signed_in, WaitsForLogin):
            return away(signed_in.url)
        if isinstance(signed_in, NotConnected):
            return notice(NOT_CONNECTED, signed_in.why, status=signed_in.status)
        link = signed_in.link
        title = self._providers[link.provider].title
        if isinstance(signed_in, InProgress):
            response = notice("One moment", f"{title}'s answer is being checked. This page reloads itself.", status=200)
            response.headers["Refresh"] = "2"
            return response
        if isinstance(signed_in, Disconnected):
            text = f"{signed_in.email} was connected, but has been disconnected since."
            return notice(
                NOT_CONNECTED, f"{text} Write `connect {link.provider}` in the chat for a new link", status=200
            )
        missing = self._permissions(link, signed_in.missing_scopes)
        shown = await self._who(signed_in.link.principal)
        if isinstance(signed_in, Connected):
            return page("connected.html", "Connected", who=shown, connected=signed_in, missing=missing, provider=title)
        return page("confirm.html", "One step left", who=shown, waits=signed_in, missing=missing, provider=title)

    async def _who(self, principal: Principal) -> Who:
        """Return how to show this person: by their id alone if the channel gives no name."""
        channel = self._channels.get(principal.platform)
        if channel is None:
            return who(principal, principal.platform, None)
        try:
            name = await channel.people.find_name(principal) if channel.people is not None else None
        except (UnavailableError, SealError):
            name = None
        return who(principal, channel.title, name)

    def _permissions(self, link: Link, oauth_scopes: Collection[str]) -> dict[str, str]:
        permission = self._providers[link.provider].permission
        return {scope: permission(scope) for scope in sorted(oauth_scopes)}


def _to_sign_in(link: Link) -> Response:
    """Redirect to the page of a sign-in, which shows its current state whenever it is loaded."""
    return away(f"{SIGN_IN_PATH.format(provider=link.provider)}/{link.link_id}")
