"""The pages by which an administrator installs the app: /slack/install and Slack's callback."""

from __future__ import annotations

from typing import Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.errors import CallbackRefusedError, UnavailableError
from interfaces.slack.installing import INSTALL_SECONDS, Installing

CALLBACK_PATH = "/slack/oauth/callback"
_NOT_INSTALLED = "Not installed"


class Page(Protocol):
    """Makes a page of a template."""

    def __call__(self, template: str, title: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """The page, which nobody keeps and nobody frames."""
        ...


class Cookies(Protocol):
    """What a browser keeps of an installation, so that no other browser can finish it."""

    def keep(self, response: Response, state: str, value: str, *, seconds: float) -> None:
        """Have the browser keep the cookie of the one with this state."""
        ...

    def find(self, request: Request, state: str) -> str | None:
        """What this browser kept of it."""
        ...

    def forget(self, response: Response, state: str) -> None:
        """Have the browser forget it."""
        ...


def callback_url(public_url: str) -> str:
    """Where Slack sends a browser back to; the Slack app has to list exactly this."""
    return public_url.rstrip("/") + CALLBACK_PATH


def router(*, installing: Any, page: Page, cookies: Cookies) -> APIRouter:
    """The routes.

    Args:
        installing: Depends: the Installing.
        page: Makes the pages.
        cookies: Bind an installation to the browser that began it.
    """
    routes = APIRouter(default_response_class=HTMLResponse)

    @routes.api_route("/slack/install", methods=["GET", "HEAD"])
    async def show() -> Response:
        """Show what is about to happen. Begins nothing: chats fetch links to preview them."""
        return page("slack_install.html", "Install in Slack")

    @routes.post("/slack/install")
    async def begin(request: Request, installing: Installing = installing) -> Response:
        """Begin in this browser, and send it on to Slack."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            text = "Another page sent you here. Open /slack/install yourself."
            return page("notice.html", _NOT_INSTALLED, status=403, text=text)
        begun = await installing.begin()
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        response = RedirectResponse(begun.url, 303, headers=headers)
        cookies.keep(response, begun.state, begun.cookie, seconds=INSTALL_SECONDS)
        return response

    @routes.get(CALLBACK_PATH)
    async def come_back(
        request: Request,
        state: str = "",
        code: str | None = None,
        error: str | None = None,
        installing: Installing = installing,
    ) -> Response:
        """Take what Slack says of the installation; without this browser's cookie nothing is taken."""
        cookie = cookies.find(request, state)
        title, status = _NOT_INSTALLED, 200
        try:
            if code is None or error is not None:
                await installing.refuse(state=state, cookie=cookie)
                text = "You did not allow it. Nothing was installed."
            else:
                installation = await installing.finish(state=state, cookie=cookie, code=code)
                title, text = "Installed", f"The assistant is now in {installation.name}. Write to it in Slack."
        except (CallbackRefusedError, UnavailableError) as refusal:
            text, status = str(refusal), refusal.status
        response = page("notice.html", title, status=status, text=text)
        if cookie is not None:  # whatever came of it, it is over
            cookies.forget(response, state)
        return response

    return routes
