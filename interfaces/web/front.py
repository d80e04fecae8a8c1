"""The page at `/`, for people who open the server's address in a browser."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from interfaces.web.formatting import page


class FrontPage:
    """Says what this server is, and nothing about who uses it or how it is set up. Lives as long as the process."""

    def router(self) -> APIRouter:
        """Return the route."""
        routes = APIRouter(default_response_class=HTMLResponse)
        routes.add_api_route("/", self.show, methods=["GET", "HEAD"])
        return routes

    async def show(self) -> HTMLResponse:
        """Show the page."""
        return front_page()


def front_page() -> HTMLResponse:
    """Return the page."""
    return page("front.html", "Deputy")
