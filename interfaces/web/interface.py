"""The link page and Google's callback."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.credentials.consent import Consent
from app.errors import ConsentError, GoogleError
from app.google.apis import GoogleApis
from interfaces.web.formatting import notice, page

CALLBACK_PATH = "/oauth/google/callback"
_NOT_CONNECTED = "Not connected"


def callback_url(public_url: str) -> str:
    """Where Google sends a browser back to; the OAuth client at Google has to list exactly this."""
    return public_url.rstrip("/") + CALLBACK_PATH


def router(*, consent: Any, google_apis: Any, secure: bool, cookie_seconds: float) -> APIRouter:
    """The pages by which a person connects their Google account.

    Args:
        consent: Depends: the Consent.
        google_apis: Depends: the GoogleApis, which know what an OAuth scope permits.
        secure: The server is reached over HTTPS, so its cookies go nowhere else.
        cookie_seconds: How long an opened link waits for its callback.
    """
    routes = APIRouter(default_response_class=HTMLResponse)

    @routes.api_route("/connect/google/{token}", methods=["GET", "HEAD"])
    async def show_link(token: str, consent: Consent = consent, google_apis: GoogleApis = google_apis) -> Response:
        """Show who asks for what. Consumes nothing: chats fetch links to preview them."""
        try:
            link = await consent.look_at(token)
        except ConsentError as error:
            return notice(_NOT_CONNECTED, str(error), status=error.status)
        return page(
            "connect.html",
            "Connect your Google account",
            principal=link.principal,
            permissions={scope: google_apis.permission(scope) for scope in sorted(link.oauth_scopes)},
        )

    @routes.post("/connect/google/{token}")
    async def open_link(request: Request, token: str, consent: Consent = consent) -> Response:
        """Open the link for this browser, and send it on to Google."""
        if not _from_our_page(request):
            return notice(_NOT_CONNECTED, "Another page sent you here. Open the link from your chat.", status=403)
        try:
            url, opened = await consent.open(token)
        except ConsentError as error:
            return notice(_NOT_CONNECTED, str(error), status=error.status)
        response = RedirectResponse(url, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        response.set_cookie(
            _cookie_name(opened.state, secure),
            opened.cookie,
            max_age=int(cookie_seconds),
            httponly=True,
            secure=secure,
            samesite="lax",
        )
        return response

    @routes.get(CALLBACK_PATH)
    async def come_back(
        request: Request,
        state: str = "",
        code: str | None = None,
        error: str | None = None,
        consent: Consent = consent,
        google_apis: GoogleApis = google_apis,
    ) -> Response:
        """Take what Google says of the consent; without this browser's cookie nothing is taken."""
        cookie_name = _cookie_name(state, secure)
        cookie = request.cookies.get(cookie_name)
        try:
            if code is None or error is not None:
                await consent.refuse(state=state, cookie=cookie)
                response = notice(_NOT_CONNECTED, "You did not allow the access. Nothing was connected.", status=200)
            else:
                connected = await consent.finish(state=state, cookie=cookie, code=code)
                missing = {scope: google_apis.permission(scope) for scope in sorted(connected.missing_scopes)}
                response = page("connected.html", "Connected", connected=connected, missing=missing)
        except ConsentError as refusal:
            response = notice(_NOT_CONNECTED, str(refusal), status=refusal.status)
        except GoogleError:
            response = notice(_NOT_CONNECTED, "Google did not answer. Ask the assistant for a new link.", status=502)
        if cookie is not None:  # whatever came of it, the sign-in is over
            response.delete_cookie(cookie_name, httponly=True, secure=secure, samesite="lax")
        return response

    return routes


def _from_our_page(request: Request) -> bool:
    """Whether the person pressed our button: a form on another site would take them past what our page says.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header; `Origin` says nothing, as our pages send no referrer.
    A browser from before 2023 may not say it, and is let through.
    """
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _cookie_name(state: str, secure: bool) -> str:
    """One cookie a sign-in, so that two that are open in one browser do not get in each other's way.

    ``__Host-`` pins it to this host and to HTTPS (RFC 6265bis, section 4.1.3.2).
    """
    suffix = hashlib.sha256(state.encode(errors="replace")).hexdigest()[:16]
    return f"{'__Host-' if secure else ''}deputy-consent-{suffix}"
