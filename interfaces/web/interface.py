"""The link page, Google's callback, and that of a channel at which people sign in."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.consent.confirmation import Confirmation
from app.consent.flow import Consent
from app.consent.outcome import Connected, SignedIn, WaitsForLogin
from app.errors import ConsentError, GoogleError, SealError, UnavailableError
from app.google.apis import GoogleApis
from app.principal import Principal
from interfaces.channel import ServedChannels
from interfaces.web.cookies import Cookies
from interfaces.web.formatting import Who, away, from_our_page, notice, page, who

CALLBACK_PATH = "/oauth/google/callback"
LOGIN_PATH = "/oauth/login/callback"
NOT_CONNECTED = "Not connected"


def callback_url(public_url: str) -> str:
    """Where Google sends a browser back to; the OAuth client at Google has to list exactly this."""
    return public_url.rstrip("/") + CALLBACK_PATH


def login_url(public_url: str) -> str:
    """Where a channel sends a browser back to at which its person has signed in; the channel's app has to list it."""
    return public_url.rstrip("/") + LOGIN_PATH


class ConsentPages:
    """Handles the pages by which a person connects their Google account.

    It lives as long as the process and holds no consent.

    Args:
        google_apis: Knows what an OAuth scope permits.
        channels: Know people's names.
        cookie_seconds: How long an opened link waits for its callback.
        code_seconds: How long what Google granted waits for its proof.
    """

    def __init__(
        self,
        consent: Consent,
        confirmation: Confirmation,
        google_apis: GoogleApis,
        channels: ServedChannels,
        cookies: Cookies,
        *,
        cookie_seconds: float,
        code_seconds: float,
    ) -> None:
        self._consent = consent
        self._confirmation = confirmation
        self._google_apis = google_apis
        self._channels = channels
        self._cookies = cookies
        self._cookie_seconds = cookie_seconds
        self._code_seconds = code_seconds

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter(default_response_class=HTMLResponse)
        routes.add_api_route("/connect/google/{token}", self.show_link, methods=["GET", "HEAD"])
        routes.add_api_route("/connect/google/{token}", self.open_link, methods=["POST"])
        routes.add_api_route(CALLBACK_PATH, self.come_back, methods=["GET"])
        routes.add_api_route(LOGIN_PATH, self.log_in, methods=["GET"])
        return routes

    async def show_link(self, token: str) -> Response:
        """Show who asks for what. Consumes nothing, because chats fetch links to preview them."""
        try:
            link = await self._consent.look_at(token)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        return page(
            "connect.html",
            "Connect your Google account",
            who=await self._who(link.principal),
            permissions=self._permissions(link.oauth_scopes),
        )

    async def open_link(self, request: Request, token: str) -> Response:
        """Open the link for this browser, and send it on to Google."""
        if not from_our_page(request):
            return notice(NOT_CONNECTED, "Another page sent you here. Open the link from your chat.", status=403)
        try:
            url, opened = await self._consent.open(token)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        response = away(url)
        self._cookies.keep(response, opened.state, opened.cookie, seconds=self._cookie_seconds)
        return response

    async def come_back(
        self, request: Request, state: str = "", code: str | None = None, error: str | None = None
    ) -> Response:
        """Take Google's answer about the consent, but only with this browser's cookie."""
        cookie = self._cookies.find(request, state)
        response: Response
        try:
            if code is None or error is not None:
                await self._consent.refuse(state=state, cookie=cookie)
                response = notice(NOT_CONNECTED, "You did not allow the access. Nothing was connected.", status=200)
            else:
                signed_in = await self._consent.finish(state=state, cookie=cookie, code=code)
                response = await self._show(signed_in)
                if isinstance(signed_in, WaitsForLogin):
                    self._cookies.keep(response, signed_in.state, signed_in.cookie, seconds=self._code_seconds)
        except ConsentError as refusal:
            response = notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        except GoogleError:
            response = notice(NOT_CONNECTED, "Google did not answer. Ask the assistant for a new link.", status=502)
        if cookie is not None:  # whatever came of it, the sign-in is over
            self._cookies.forget(response, state)
        return response

    async def log_in(self, request: Request, state: str = "") -> Response:
        """Take a channel's answer about who signed in there, but only with this browser's cookie."""
        cookie = self._cookies.find(request, state)
        response: Response
        try:
            answer = dict(request.query_params)
            connected = await self._confirmation.prove_by_login(state=state, cookie=cookie, answer=answer)
            response = await self._show(connected)
        except ConsentError as refusal:
            response = notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        if cookie is not None:
            self._cookies.forget(response, state)
        return response

    async def _show(self, signed_in: SignedIn) -> Response:
        """Return what a person sees once Google said yes."""
        if isinstance(signed_in, WaitsForLogin):
            return away(signed_in.url)
        missing = self._permissions(signed_in.missing_scopes)
        shown = await self._who(signed_in.link.principal)
        if isinstance(signed_in, Connected):
            return page("connected.html", "Connected", who=shown, connected=signed_in, missing=missing)
        return page("confirm.html", "One step left", who=shown, waits=signed_in, missing=missing)

    async def _who(self, principal: Principal) -> Who:
        """Return how this person is shown: by the channel's id alone if it does not say what they are called."""
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
