"""The page at `/` in the sandbox, and what its script asks for."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from app.errors import NotFoundError, UnauthenticatedError
from app.grants.accounts import Accounts
from app.oauth.provider import Providers
from interfaces.playground.feed import Feed
from interfaces.playground.local import is_from_our_page, is_local
from interfaces.playground.people import PLAYERS, Player
from interfaces.web.formatting import PAGE_HEADERS, page
from interfaces.web.front import front_page

KEEP_ALIVE_SECONDS = 15.0
_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null`
}


class MessageRoutes(Protocol):
    """Has the routes by which somebody posts and reads messages."""

    def message_routes(self, prefix: str, authenticate: Callable[..., Awaitable[None]]) -> APIRouter:
        """Return the routes below this path; `authenticate` stores the person as `request.state.principal`."""
        ...


class Playground:
    """Serves the playground. Lives as long as the process, and holds no personal data.

    Anybody who opens the page can write as the two players. It answers only browsers on this machine, and its script
    only with the key that is in the page, which no page of another origin can read. The key is new at each start.

    Args:
        messages: The HTTP channel's routes of messages.
        accounts: Which accounts the players have connected.
        providers: Where accounts can be connected.
        feed: Passes on what happens in scopes.
        overview: Returns what is shared by all requests, as the declared graph says.
    """

    def __init__(
        self,
        messages: MessageRoutes,
        accounts: Accounts,
        providers: Providers,
        feed: Feed,
        overview: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._messages = messages
        self._accounts = accounts
        self._providers = providers
        self._feed = feed
        self._overview = overview
        self._key = secrets.token_urlsafe(32)
        self._players = {player.key: player for player in PLAYERS}

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter()
        routes.add_api_route("/", self.show, methods=["GET", "HEAD"], response_class=HTMLResponse)
        guarded = [Depends(self.check)]
        routes.add_api_route(
            "/playground/scopes", self.show_scopes, methods=["GET"], dependencies=guarded, response_model=None
        )
        of_player = self._messages.message_routes("/playground/{player}", self.authenticate)
        of_player.add_api_route("/accounts", self.list_accounts, methods=["GET"])
        routes.include_router(of_player)
        return routes

    async def show(self, request: Request) -> HTMLResponse:
        """Show the page to a browser on this machine, and to others what this server is."""
        if not is_local(request):
            return front_page()
        return page(
            "playground.html",
            "Deputy playground",
            headers=_HEADERS,
            players=PLAYERS,
            key=self._key,
            overview=self._overview(),
            has_github="github" in self._providers,
        )

    async def check(self, request: Request, x_playground_key: Annotated[str, Header()] = "") -> None:
        """Check that the page's own script asks.

        Raises:
            UnauthenticatedError: It does not.
        """
        has_key = hmac.compare_digest(x_playground_key.encode(), self._key.encode())
        if not (is_local(request) and is_from_our_page(request) and has_key):
            raise UnauthenticatedError("only the playground's own page may ask this; load it again at /")

    async def authenticate(
        self, request: Request, player: str, x_playground_key: Annotated[str, Header()] = ""
    ) -> None:
        """Identify the player by the address, once it is known that the page asks.

        Raises:
            UnauthenticatedError: The page does not ask.
            NotFoundError: There is no such player.
        """
        await self.check(request, x_playground_key)
        request.state.principal = self._player(player).principal

    async def list_accounts(self, player: str) -> JSONResponse:
        """Return the accounts that a player has connected, with the ids of their credentials."""
        accounts = await self._accounts.list(self._player(player).principal)
        listed = [
            {
                "provider": self._providers[account.provider].title,
                "email": account.email,
                "credential": account.grant_id,
            }
            for account in accounts
        ]
        return JSONResponse({"accounts": listed})

    async def show_scopes(self) -> EventSourceResponse:
        """Stream what happens in the players' request scopes for as long as the page is open."""
        return EventSourceResponse(self._scopes(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def _scopes(self) -> AsyncIterator[bytes]:
        with self._feed.viewing() as viewing:
            yield _as_event("watching", {})
            while True:
                try:
                    event = await asyncio.wait_for(viewing.next(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield KEEPALIVE_COMMENT
                    continue
                if event is None:
                    return
                yield _as_event(event.kind, event.data)

    def _player(self, key: str) -> Player:
        if key not in self._players:
            raise NotFoundError("nobody of this name plays here")
        return self._players[key]


def _as_event(name: str, data: Mapping[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data))
