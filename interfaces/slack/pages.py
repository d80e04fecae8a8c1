"""The pages where an administrator installs the app: /slack/install and Slack's callback."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.errors import CallbackRefusedError, UnavailableError
from interfaces.slack.installing import INSTALL_SECONDS, Installing
from interfaces.web.cookies import Cookies
from interfaces.web.formatting import away, from_our_page, notice, page

CALLBACK_PATH = "/slack/oauth/callback"
_NOT_INSTALLED = "Not installed"


def callback_url(public_url: str) -> str:
    """Return the URL to which Slack sends the browser back; the Slack app must list exactly this one."""
    return public_url.rstrip("/") + CALLBACK_PATH


class InstallPages:
    """Handles the pages. Lives as long as the process and holds no installation."""

    def __init__(self, installing: Installing, cookies: Cookies) -> None:
        self._installing = installing
        self._cookies = cookies

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter(default_response_class=HTMLResponse)
        routes.add_api_route("/slack/install", self.show, methods=["GET", "HEAD"])
        routes.add_api_route("/slack/install", self.begin, methods=["POST"])
        routes.add_api_route(CALLBACK_PATH, self.come_back, methods=["GET"])
        return routes

    async def show(self) -> Response:
        """Show what is about to happen. Starts nothing, because chats fetch links to preview them."""
        return page("slack_install.html", "Install in Slack")

    async def begin(self, request: Request) -> Response:
        """Begin an installation in this browser, and redirect it to Slack."""
        if not from_our_page(request):
            return notice(_NOT_INSTALLED, "Another page sent you here. Open /slack/install yourself.", status=403)
        begun = await self._installing.begin()
        response = away(begun.url)
        self._cookies.keep(response, begun.state, begun.cookie, seconds=INSTALL_SECONDS)
        return response

    async def come_back(
        self, request: Request, state: str = "", code: str | None = None, error: str | None = None
    ) -> Response:
        """Handle Slack's answer about the installation; this browser's cookie is required."""
        cookie = self._cookies.find(request, state)
        title, status = _NOT_INSTALLED, 200
        try:
            if code is None or error is not None:
                await self._installing.refuse(state=state, cookie=cookie)
                text = "You did not allow it. Nothing was installed."
            else:
                installation = await self._installing.finish(state=state, cookie=cookie, code=code)
                title, text = "Installed", f"The assistant is now in {installation.name}. Write to it in Slack."
        except (CallbackRefusedError, UnavailableError) as refusal:
            text, status = str(refusal), refusal.status
        response = notice(title, text, status=status)
        if cookie is not None:  # the installation has ended, with or without success
            self._cookies.forget(response, state)
        return response
