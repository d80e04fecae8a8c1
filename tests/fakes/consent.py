"""The real consent flow, with its pages and Google on loopback; people are played by browsers with cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import sqlalchemy as sa
from bs4 import BeautifulSoup
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.types import Receive, Scope, Send

from app.consent.browser import BrowserSignIn
from app.consent.code_tries import CodeTries, WrongCode
from app.consent.confirmation import Confirmation, Wake
from app.consent.flow import Consent
from app.consent.link import Link, LinkState, OpenedLink, link_of
from app.consent.link_queries import open_links
from app.consent.linking import Linking, LinkingMode
from app.consent.links import ConsentLinks
from app.consent.outcome import Connected, Disconnected
from app.consent.quarantine import Quarantine
from app.consent.unconfirmed import RevocationEndpoint, UnconfirmedConsents
from app.consent.used_codes import UsedCodes
from app.database.database import Database
from app.database.tables import quarantined_grants
from app.google.auth import GoogleAuth
from app.google.connections import open_http
from app.google.endpoints import GoogleEndpoints
from app.grants.accounts import Accounts
from app.grants.grant import Grant
from app.grants.grants import Grants
from app.keys.ring import KeyRing
from app.network import open_pool
from app.oauth.provider import GOOGLE
from app.oauth.token_endpoint import TokenEndpoint
from app.principal import Principal
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.server import serve_loopback
from app.sandbox.visitor import code_on
from interfaces.listening import listening
from interfaces.middleware import install
from interfaces.web.cookies import Cookies
from interfaces.web.interface import ConsentPages, callback_url
from tests.fakes.google_api import google_faults
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import CLIENT_ID, CLIENT_SECRET, sandbox
from tests.fakes.server import Ahead

LINK_SECONDS = 600.0
CODE_SECONDS = 600.0
CODE_TRIES = 5
BY_CODE = Linking(LinkingMode.CODE, {}, {})


@dataclass
class Waiting:
    """Stands in for the messages that wait for consents: records how each consent ended.

    Attributes:
        ended: The person of each consent that ended, and whether it was granted.
        accounts: The accounts of each consent that ended.
        changed: The people whose sign-ins changed in another way.
    """

    ended: list[tuple[Principal, bool]] = field(default_factory=list)
    accounts: list[set[str | None]] = field(default_factory=list)
    changed: list[Principal] = field(default_factory=list)

    async def consent_ends(
        self,
        connection: AsyncConnection,
        principal: Principal,
        *,
        granted: bool,
        accounts: Collection[str | None] = (None,),
        provider: str = GOOGLE,
    ) -> Wake:
        async def wake() -> None:
            self.ended.append((principal, granted))
            self.accounts.append(set(accounts))

        return wake

    async def sign_in_changed(self, principal: Principal, link_id: str) -> None:
        self.changed.append(principal)


class _Client(httpx2.AsyncClient):
    """A browser's client, which follows redirects to pages of the same server when it gets a page."""

    async def get(self, url: Any, **options: Any) -> httpx2.Response:
        response = await super().get(url, **options)
        while response.has_redirect_location and response.headers["location"].startswith("/"):
            response = await super().get(response.url.join(response.headers["location"]), **options)
        return response


class Browser:
    """One person's browser: keeps cookies, and follows redirects within one server."""

    def __init__(self) -> None:
        # Use a new connection for each request, because the server may close an idle one just as the next is sent.
        self.http = _Client(timeout=30, limits=httpx2.Limits(max_keepalive_connections=0))

    async def open(self, link: str) -> str:
        """Look at a link's page and press its button; return the address at Google that it leads to."""
        page = await self.http.get(link)
        assert page.status_code == 200, page.text
        form = BeautifulSoup(page.text, "html.parser").select_one("form[method=post] button")
        assert form is not None
        response = await self.http.post(link)
        assert response.status_code == 303, response.text
        return response.headers["location"]

    async def decide(
        self, google_url: str, email: str, *, decision: str = "allow", unticked: Collection[str] = ()
    ) -> str:
        """Fill in the form of Google's consent page as it is shown; return the address that it leads back to."""
        page = BeautifulSoup((await self.http.get(google_url)).text, "html.parser")
        hidden = [each["value"] for each in page.select("input[type=hidden][name=granted]")]
        ticked = [each["value"] for each in page.select("input[type=checkbox][name=granted][checked]")]
        assert page.select_one(f"input[type=radio][name=email][value='{email}']") is not None
        granted = [str(value) for value in [*hidden, *ticked] if value not in unticked]
        form = {"email": email, "decision": decision, "granted": granted}
        response = await self.http.post(google_url, data=form)
        assert response.status_code == 302, response.text
        return response.headers["location"]

    async def allow(self, link: str, email: str, *, unticked: Collection[str] = ()) -> httpx2.Response:
        """Complete the flow in the browser and allow everything; return the last page, with the code."""
        callback = await self.decide(await self.open(link), email, unticked=unticked)
        return await self.http.get(callback)


@dataclass
class ConsentServer:
    """The server on loopback, and the results of its consents.

    Attributes:
        url: The address of the server.
        google: The sandbox to which people are sent.
        clock: The server's time, which a test may set ahead.
    """

    database: Database
    key_ring: KeyRing
    grants: Grants
    links: ConsentLinks
    quarantine: Quarantine
    clock: Ahead
    linking: Linking
    cookies: Cookies
    google_auth: GoogleAuth = field(init=False)
    url: str = ""
    waiting: Waiting = field(default_factory=Waiting)
    google: GoogleSandbox = field(init=False)
    dropping: UnconfirmedConsents = field(init=False)
    confirmation: Confirmation = field(init=False)
    consent: Consent = field(init=False)
    pages: FastAPI = field(init=False)
    browser_sign_in: BrowserSignIn = field(init=False)

    def use(self, google_auth: GoogleAuth, revoking: RevocationEndpoint | None = None) -> None:
        """Use this Google from now on, and revoke grants there or by `revoking`."""
        self.google_auth = google_auth
        self.dropping = UnconfirmedConsents(
            self.database, self.links, self.quarantine, google_alone(revoking or google_auth)
        )
        self.confirmation = Confirmation(
            self.database,
            self.links,
            self.grants,
            self.quarantine,
            CodeTries(self.quarantine, code_tries=CODE_TRIES),
            self.dropping,
            UsedCodes(self.key_ring, self.clock),
            self.waiting,
            linking=self.linking,
            code_seconds=CODE_SECONDS,
            now=self.clock,
        )
        self.consent = Consent(
            self.links,
            self.grants,
            Accounts(self.database),
            self.quarantine,
            google_alone(google_auth),
            public_url=self.url,
        )
        self.browser_sign_in = BrowserSignIn(
            self.database,
            self.links,
            self.grants,
            self.quarantine,
            self.dropping,
            self.confirmation,
            google_alone(google_auth),
            self.waiting,
            self.clock,
        )
        self.pages = FastAPI()
        install(self.pages, max_body_bytes=10_000)
        pages = ConsentPages(
            self.browser_sign_in,
            self.confirmation,
            google_alone(google_auth),
            {},
            self.cookies,
            cookie_seconds=LINK_SECONDS + CODE_SECONDS,
        )
        self.pages.include_router(pages.router())

    def prove_by(self, linking: Linking) -> None:
        """Require these proofs from now on."""
        self.linking = linking
        self.use(self.google_auth)

    async def link(self, principal: Principal, *oauth_scopes: str) -> str:
        """Return the address of this person's link for these scopes."""
        link_id = await self.consent.ask(principal, frozenset(oauth_scopes))
        url = (await self.consent.sign_in(principal, link_id)).url
        assert url is not None
        return url

    async def covers(self, principal: Principal, *oauth_scopes: str) -> bool:
        """Return whether this person's grant has all of these scopes."""
        async with self.database.reading() as connection:
            return await self.consent.covers(connection, principal, frozenset(oauth_scopes))

    async def confirm(self, principal: Principal, page: httpx2.Response) -> Connected | Disconnected | WrongCode | None:
        """Send the code on a page in this person's chat."""
        code = code_on(page)
        assert code is not None, page.text
        return await self.confirmation.confirm(principal, code)

    async def connect(
        self, browser: Browser, principal: Principal, email: str, *oauth_scopes: str, unticked: Collection[str] = ()
    ) -> httpx2.Response:
        """Let this person grant these scopes and confirm; return the last page of their browser."""
        page = await browser.allow(await self.link(principal, *oauth_scopes), email, unticked=unticked)
        assert isinstance(await self.confirm(principal, page), Connected)
        return page

    async def quarantined(self) -> list[tuple[str, str]]:
        """Return the name of each person with a grant in quarantine, and its state."""
        columns = (quarantined_grants.c.user_id, quarantined_grants.c.state)
        async with self.database.reading() as connection:
            rows = await connection.execute(sa.select(*columns).order_by(*columns))
            return [(row.user_id, row.state) for row in rows]

    def google_knows(self, grant: Grant) -> bool:
        """Return whether Google still accepts this grant's access token."""
        return self.google.bearer_owner(grant.access_token) is not None

    def calls(self, method_id: str) -> int:
        """Return how often the sandbox received this call."""
        return sum(call.method_id == method_id for call in self.google.calls)


@asynccontextmanager
async def open_consent_server(
    database: Database, key_ring: KeyRing, *, secure: bool = False
) -> AsyncIterator[ConsentServer]:
    """Serve the pages, and the sandbox's Google, until the block ends."""
    clock = Ahead()
    links = ConsentLinks(database, key_ring, lifetime_seconds=LINK_SECONDS, now=clock)
    quarantine = Quarantine(database, key_ring, clock)
    server = ConsentServer(
        database, key_ring, Grants(database, key_ring), links, quarantine, clock, BY_CODE, Cookies(secure=secure)
    )

    async def pages(scope: Scope, receive: Receive, send: Send) -> None:
        await server.pages(scope, receive, send)

    pool = open_pool()
    async with listening(pages, "127.0.0.1", 0) as server.url, open_http() as http:
        redirect_uri = callback_url(server.url)
        server.google = sandbox(redirect_uris=frozenset({redirect_uri}))
        async with serve_loopback(server.google.app) as google_url:
            endpoints = GoogleEndpoints(
                authorize=f"{google_url}/o/oauth2/v2/auth",
                token=f"{google_url}/token",
                revoke=f"{google_url}/revoke",
                certs=f"{google_url}/oauth2/v1/certs",
                issuer=google_url,
            )
            google_auth = GoogleAuth(
                endpoints,
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                redirect_uri=redirect_uri,
                token_endpoint=TokenEndpoint(http, google_faults()),
                pool=pool,
            )
            server.use(google_auth)
            yield server
    pool.clear()


def query(url: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def cookie_of(response: httpx2.Response) -> Morsel[str]:
    """Return the only cookie that a response sets."""
    (cookie,) = SimpleCookie(response.headers["set-cookie"]).values()
    return cookie


async def links_of(links: ConsentLinks, principal: Principal) -> list[Link]:
    """Return this person's links that may still lead to a grant, newest first."""
    async with links._database.reading() as connection:
        return [link_of(row) for row in await connection.execute(open_links(principal, links._now()))]


async def comes_back(links: ConsentLinks, opened: OpenedLink, state: LinkState = LinkState.CONSENTED) -> bool:
    """Let a callback arrive for an opened link, with consent or refusal; return whether it was the first one."""
    async with links._database.writing() as connection:
        return await links.take(connection, opened.link, state)
