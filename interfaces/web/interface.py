"""The link page, Google's callback, and that of a channel at which people sign in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.consent.confirmation import Confirmation
from app.consent.flow import Consent
from app.consent.outcome import Connected, SignedIn, WaitsForLogin
from app.errors import ConsentError, GoogleError, SealError, UnavailableError
from app.google.apis import GoogleApis
from app.principal import Principal
from interfaces.web.cookies import Cookies
from interfaces.web.formatting import Who, away, notice, page, who

CALLBACK_PATH = "/oauth/google/callback"
LOGIN_PATH = "/oauth/login/callback"
NOT_CONNECTED = "Not connected"


class People(Protocol):
    """A channel that knows its people."""

    async def find_name(self, principal: Principal) -> str | None:
        """What this person calls themselves there; None if it does not know them.

        Raises:
            UnavailableError: The channel did not answer.
            SealError: What it is asked with does not open.
        """
        ...


def callback_url(public_url: str) -> str:
    """Where Google sends a browser back to; the OAuth client at Google has to list exactly this."""
    return public_url.rstrip("/") + CALLBACK_PATH


def login_url(public_url: str) -> str:
    """Where a channel sends a browser back to at which its person has signed in; the channel's app has to list it."""
    return public_url.rstrip("/") + LOGIN_PATH


def router(
    *,
    consent: Any,
    confirmation: Any,
    google_apis: Any,
    people: Any,
    secure: bool,
    cookie_seconds: float,
    code_seconds: float,
) -> APIRouter:
    """The pages by which a person connects their Google account.

    Args:
        consent: Depends: the Consent.
        confirmation: Depends: the Confirmation.
        google_apis: Depends: the GoogleApis, which know what an OAuth scope permits.
        people: Depends: by platform, the channels that know people's names.
        secure: The server is reached over HTTPS, so its cookies go nowhere else.
        cookie_seconds: How long an opened link waits for its callback.
        code_seconds: How long what Google granted waits for its proof.
    """
    routes = APIRouter(default_response_class=HTMLResponse)
    cookies = Cookies(secure=secure)

    @routes.api_route("/connect/google/{token}", methods=["GET", "HEAD"])
    async def show_link(
        token: str,
        consent: Consent = consent,
        google_apis: GoogleApis = google_apis,
        people: Mapping[str, People] = people,
    ) -> Response:
        """Show who asks for what. Consumes nothing: chats fetch links to preview them."""
        try:
            link = await consent.look_at(token)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        return page(
            "connect.html",
            "Connect your Google account",
            who=await _who(people, link.principal),
            permissions={scope: google_apis.permission(scope) for scope in sorted(link.oauth_scopes)},
        )

    @routes.post("/connect/google/{token}")
    async def open_link(request: Request, token: str, consent: Consent = consent) -> Response:
        """Open the link for this browser, and send it on to Google."""
        if not _from_our_page(request):
            return notice(NOT_CONNECTED, "Another page sent you here. Open the link from your chat.", status=403)
        try:
            url, opened = await consent.open(token)
        except ConsentError as error:
            return notice(NOT_CONNECTED, str(error), status=error.status)
        response = away(url)
        cookies.keep(response, opened.state, opened.cookie, seconds=cookie_seconds)
        return response

    @routes.get(CALLBACK_PATH)
    async def come_back(
        request: Request,
        state: str = "",
        code: str | None = None,
        error: str | None = None,
        consent: Consent = consent,
        google_apis: GoogleApis = google_apis,
        people: Mapping[str, People] = people,
    ) -> Response:
        """Take what Google says of the consent; without this browser's cookie nothing is taken."""
        cookie = cookies.find(request, state)
        response: Response
        try:
            if code is None or error is not None:
                await consent.refuse(state=state, cookie=cookie)
                response = notice(NOT_CONNECTED, "You did not allow the access. Nothing was connected.", status=200)
            else:
                signed_in = await consent.finish(state=state, cookie=cookie, code=code)
                response = await _show(signed_in, google_apis, people)
                if isinstance(signed_in, WaitsForLogin):
                    cookies.keep(response, signed_in.state, signed_in.cookie, seconds=code_seconds)
        except ConsentError as refusal:
            response = notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        except GoogleError:
            response = notice(NOT_CONNECTED, "Google did not answer. Ask the assistant for a new link.", status=502)
        if cookie is not None:  # whatever came of it, the sign-in is over
            cookies.forget(response, state)
        return response

    @routes.get(LOGIN_PATH)
    async def log_in(
        request: Request,
        state: str = "",
        confirmation: Confirmation = confirmation,
        google_apis: GoogleApis = google_apis,
        people: Mapping[str, People] = people,
    ) -> Response:
        """Take what a channel says of who signed in there; without this browser's cookie nothing is taken."""
        cookie = cookies.find(request, state)
        response: Response
        try:
            answer = dict(request.query_params)
            connected = await confirmation.prove_by_login(state=state, cookie=cookie, answer=answer)
            response = await _show(connected, google_apis, people)
        except ConsentError as refusal:
            response = notice(NOT_CONNECTED, str(refusal), status=refusal.status)
        if cookie is not None:
            cookies.forget(response, state)
        return response

    return routes


async def _show(signed_in: SignedIn, google_apis: GoogleApis, people: Mapping[str, People]) -> Response:
    """What a person sees once Google said yes."""
    if isinstance(signed_in, WaitsForLogin):
        return away(signed_in.url)
    missing = {scope: google_apis.permission(scope) for scope in sorted(signed_in.missing_scopes)}
    shown = await _who(people, signed_in.link.principal)
    if isinstance(signed_in, Connected):
        return page("connected.html", "Connected", who=shown, connected=signed_in, missing=missing)
    return page("confirm.html", "One step left", who=shown, waits=signed_in, missing=missing)


async def _who(people: Mapping[str, People], principal: Principal) -> Who:
    """How this person is shown; by the channel's id alone where it does not say how they are called."""
    channel = people.get(principal.platform)
    try:
        return who(principal, await channel.find_name(principal) if channel is not None else None)
    except (UnavailableError, SealError):
        return who(principal, None)


def _from_our_page(request: Request) -> bool:
    """Whether the person pressed our button: a form on another site would take them past what our page says.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header; `Origin` says nothing, as our pages send no referrer.
    A browser from before 2023 may not say it, and is let through.
    """
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
