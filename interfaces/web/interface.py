"""The page of a consent link, Google's callback, and the callback of a channel where people sign in."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.consent.browser import BrowserSignIn
from app.consent.confirmation import Confirmation
from app.consent.link import Link
from app.consent.link_queries import BEFORE_GOOGLE
from app.consent.outcome import Connected, Disconnected, InProgress, NotConnected, SignedIn, WaitsForLogin
from app.errors import ConsentError, SealError, UnavailableError
from app.google.apis import GoogleApis
from app.principal import Principal
from interfaces.channel import ServedChannels
from interfaces.web.cookies import Cookies
from interfaces.web.formatting import Who, away, from_our_page, notice, page, who

CALLBACK_PATH = "/oauth/google/callback"
LOGIN_PATH = "/oauth/login/callback"
SIGN_IN_PATH = "/connect/google/sign-in"
NOT_CONNECTED = "Not connected"


def callback_url(public_url: str) -> str:
    """Return the URL to which Google sends the browser back; the OAuth client at Google must list exactly this one."""
    return public_url.rstrip("/") + CALLBACK_PATH


def login_url(public_url: str) -> str:
    """Return the URL to which a channel sends the browser back after a sign-in; the channel's app must list it."""
    return public_url.rstrip("/") + LOGIN_PATH


class ConsentPages:
    """Handles the pages through which a person connects their Google account.

    It lives as long as the process and holds no consent.

    Args:
        google_apis: Describe what an OAuth scope permits.
        channels: Know people's names.
        cookie_seconds: Lifetime of the cookie that marks the browser that opened a link; longer than a sign-in takes.
    """

    def __init__(
        self,
        sign_in: BrowserSignIn,
        confirmation: Confirmation,
        google_apis: GoogleApis,
        channels: ServedChannels,
        cookies: Cookies,
        *,
        cookie_seconds: float,
    ) -> None:
        self._sign_in = sign_in
        self._confirmation = confirmation
        self._google_apis = google_apis
        self._channels = channels
        self._cookies = cookies
        self._cookie_seconds = cookie_seconds

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter(default_response_class=HTMLResponse)
        routes.add_api_route("/connect/google/{token}", self.show_link, methods=["GET", "HEAD"])
        routes.add_api_route("/connect/google/{token}", self.open_link, methods=["POST"])
        routes.add_api_route(CALLBACK_PATH, self.come_back, methods=["GET"])
        routes.add_api_route(LOGIN_PATH, self.log_in, methods=["GET"])
        routes.add_api_route(SIGN_IN_PATH + "/{link_id}", self.show_sign_in, methods=["GET"])
        return routes

    async def show_link(self, request: Request, token: str) -> Response:
        """Show who asks for which permissions. Changes nothing, because chats fetch links to preview them.

        The browser gets its cookie here, so that a second press of the button is recognised as the same browser's.
        """
        try:
            link = await self._sign_in.look_at(token, partial(self._cookies.find, request))
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        if link.state not in BEFORE_GOOGLE:
            return _to_sign_in(link)
        response = page(
            "connect.html",
            "Connect your Google account",
            who=await self._who(link.principal),
            permissions=self._permissions(link.oauth_scopes),
        )
        if self._cookies.find(request, link.link_id) is None:
            self._cookies.keep(response, link.link_id, secrets.token_urlsafe(32), seconds=self._cookie_seconds)
        return response

    async def open_link(self, request: Request, token: str) -> Response:
        """Open the link for this browser and redirect it to Google; doing it twice has the same effect."""
        if not from_our_page(request):
            return notice(NOT_CONNECTED, "Another page sent you here. Open the link from your chat.", status=403)
        kept = partial(self._cookies.find, request)
        try:
            link = await self._sign_in.look_at(token, kept)
            if link.state not in BEFORE_GOOGLE:
                return _to_sign_in(link)
            url, opened = await self._sign_in.open(token, kept)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        response = away(url)
        self._cookies.keep(response, link.link_id, opened.cookie, seconds=self._cookie_seconds)
        return response

    async def come_back(
        self, request: Request, state: str = "", code: str | None = None, error: str | None = None
    ) -> Response:
        """Handle Google's answer, and redirect to a page whose address contains neither the code nor the state."""
        cookie = self._cookies.find(request, state.partition(".")[0])
        try:
            link = await self._sign_in.take_callback(state=state, cookie=cookie, code=code, error=error)
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

    async def show_sign_in(self, request: Request, link_id: str) -> Response:
        """Show the state of this browser's sign-in; can be reloaded any number of times."""
        try:
            signed_in = await self._sign_in.page(link_id, self._cookies.find(request, link_id))
        except ConsentError as refusal:
            return notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        return await self._show(signed_in)

    async def _show(self, signed_in: SignedIn) -> Response:
        """Return the page that shows the state of a sign-in."""
        if isinstance(signed_in, WaitsForLogin):
            return away(signed_in.url)
        if isinstance(signed_in, NotConnected):
            return notice(NOT_CONNECTED, signed_in.why, status=signed_in.status)
        if isinstance(signed_in, InProgress):
            response = notice("One moment", "Google's answer is being checked. This page reloads itself.", status=200)
            response.headers["Refresh"] = "2"
            return response
        if isinstance(signed_in, Disconnected):
            text = f"{signed_in.email} was connected, but has been disconnected since."
            return notice(NOT_CONNECTED, f"{text} Write `connect google` in the chat for a new link", status=200)
        missing = self._permissions(signed_in.missing_scopes)
        shown = await self._who(signed_in.link.principal)
        if isinstance(signed_in, Connected):
            return page("connected.html", "Connected", who=shown, connected=signed_in, missing=missing)
        return page("confirm.html", "One step left", who=shown, waits=signed_in, missing=missing)

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

    def _permissions(self, oauth_scopes: Collection[str]) -> dict[str, str]:
        return {scope: self._google_apis.permission(scope) for scope in sorted(oauth_scopes)}


def _to_sign_in(link: Link) -> Response:
    """Redirect to the page of a sign-in, which shows its current state whenever it is loaded."""
    return away(f"{SIGN_IN_PATH}/{link.link_id}")
