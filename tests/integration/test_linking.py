"""Stronger proofs than the code: the email address that Slack has confirmed, and signing in at Slack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import jwt
import pytest

from app.allow_list import AllowList
from app.consent.linking import Linking, LinkingMode
from app.database.database import Database
from app.errors import CallbackRefusedError, UnavailableError
from app.google.connections import open_http
from app.keys.ring import KeyRing
from app.principal import Principal
from app.sandbox.server import serve_loopback
from app.sandbox.slack.openid import SlackOpenId
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.visitor import code_on
from interfaces.slack.directory import SlackDirectory, confirmed_address
from interfaces.slack.installations import OneWorkspace
from interfaces.slack.openid import SlackLogin
from interfaces.web.interface import LOGIN_PATH, login_url
from tests.fakes.consent import Browser, ConsentServer, open_consent_server, query
from tests.fakes.google_sign_in import key
from tests.fakes.sandbox import ADA, GRACE, READ

TEAM = "T0SANDBOX"
IN_SLACK = {name: Principal("slack", TEAM, f"U0{name.upper()}") for name in ("ada", "grace")}
ANY = AllowList(())
BOT_TOKEN = "xoxb-1"


@dataclass
class LinkingServer:
    """The consent pages, with a Slack that knows two people."""

    pages: ConsentServer
    slack: SlackSandbox
    openid: SlackOpenId
    slack_url: str
    login: SlackLogin
    directory: SlackDirectory

    def use(self, linking: LinkingMode) -> None:
        """Require this proof."""
        self.pages.prove_by(Linking(linking, {"slack": self.directory}, {"slack": self.login}))

    def has(self, user: str, email: str, **flags: Any) -> None:
        """Give a member of Slack this address."""
        self.slack.members[user] = {"is_email_confirmed": True, "profile": {"email": email}, **flags}

    async def to_slack(self, browser: Browser, principal: Principal, email: str) -> str:
        """Consent at Google, and return the URL at Slack to which the browser is redirected."""
        page = await browser.allow(await self.pages.link(principal, READ), email)
        assert page.status_code == 303, page.text
        return str(page.headers["location"])

    async def at_slack(self, browser: Browser, slack_page: str, user: str, decision: str = "allow") -> str:
        """Sign in at Slack, and return the URL to which the browser is redirected."""
        assert (await browser.http.get(slack_page)).status_code == 200
        response = await browser.http.post(slack_page, data={"user": user, "decision": decision})
        assert response.status_code == 302, response.text
        return str(response.headers["location"])

    async def email_of(self, name: str) -> str | None:
        """Return the address of the account that this person has connected."""
        grant = await self.pages.grants.find(IN_SLACK[name])
        return grant.email if grant else None


@pytest.fixture
async def server(database: Database, key_ring: KeyRing) -> AsyncIterator[LinkingServer]:
    """Yield a server on loopback."""
    openid = SlackOpenId(client_id="123.456", client_secret="s3cret", redirect_uris=frozenset())
    slack = SlackSandbox(signing_secret="signs", bot_token=BOT_TOKEN, team=TEAM, openid=openid)
    async with AsyncExitStack() as stack:
        pages = await stack.enter_async_context(open_consent_server(database, key_ring))
        slack_url = await stack.enter_async_context(serve_loopback(slack.app))
        http = await stack.enter_async_context(open_http())
        openid.redirect_uris = frozenset({login_url(pages.url)})
        login = SlackLogin(
            client_id=openid.client_id,
            client_secret=openid.client_secret,
            api_base_url=f"{slack_url}/api/",
            openid_root=slack_url,
            redirect_uri=login_url(pages.url),
            http=http,
        )
        directory = SlackDirectory(OneWorkspace(BOT_TOKEN), ANY, f"{slack_url}/api/")
        yield LinkingServer(pages, slack, openid, slack_url, login, directory)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Yield Ada's browser."""
    found = Browser()
    yield found
    await found.http.aclose()


@pytest.fixture
async def other_browser() -> AsyncIterator[Browser]:
    """Yield Grace's browser."""
    found = Browser()
    yield found
    await found.http.aclose()


# --- email_match


async def test_the_address_that_slack_knows_connects_at_once(
    server: LinkingServer, browser: Browser, other_browser: Browser
) -> None:
    """An account whose address Slack has confirmed for the person is connected without a code; another is refused."""
    server.use(LinkingMode.EMAIL_MATCH)
    server.has("U0ADA", ADA.upper())
    server.has("U0GRACE", "grace@elsewhere.example")
    links = [await server.pages.link(IN_SLACK[name], READ) for name in ("ada", "grace")]
    pages = [await browser.allow(links[0], ADA), await other_browser.allow(links[1], GRACE)]

    assert [page.status_code for page in pages] == [200, 400]
    assert [code_on(page) for page in pages] == [None, None]
    assert "a different address" in pages[1].text
    assert (await server.email_of("ada"), await server.email_of("grace")) == (ADA, None)
    assert server.pages.waiting.ended == [(IN_SLACK["ada"], True)]
    assert server.pages.calls("oauth.revoke") == 1
    assert await server.pages.quarantined() == []


async def test_a_forwarded_link_is_refused_by_the_address(server: LinkingServer, browser: Browser) -> None:
    """When Ada consents through Grace's link, the address does not match Grace's, so there is no code and no grant."""
    server.use(LinkingMode.EMAIL_MATCH)
    server.has("U0ADA", ADA)
    server.has("U0GRACE", GRACE)
    page = await browser.allow(await server.pages.link(IN_SLACK["grace"], READ), ADA)

    assert (page.status_code, code_on(page)) == (400, None)
    assert (await server.email_of("ada"), await server.email_of("grace")) == (None, None)


async def test_where_no_address_is_known_the_code_proves_it(
    server: LinkingServer, browser: Browser, other_browser: Browser, ada: Principal
) -> None:
    """The code is used for a person without a confirmed address, and on a channel that knows no addresses."""
    server.use(LinkingMode.EMAIL_MATCH)
    server.has("U0GRACE", GRACE, is_restricted=True)
    pages = {
        IN_SLACK["grace"]: await browser.allow(await server.pages.link(IN_SLACK["grace"], READ), GRACE),
        ada: await other_browser.allow(await server.pages.link(ada, READ), ADA),
    }

    assert await server.email_of("grace") is None
    for person, page in pages.items():
        assert await server.pages.confirm(person, page)
    assert await server.email_of("grace") == GRACE


async def test_a_slack_that_does_not_answer_connects_nothing(server: LinkingServer, browser: Browser) -> None:
    """If Slack cannot confirm the address, there is no grant and no code, and Google's grant is revoked."""
    server.pages.prove_by(
        Linking(
            LinkingMode.EMAIL_MATCH,
            {"slack": SlackDirectory(OneWorkspace("xoxb-wrong"), ANY, f"{server.slack_url}/api/")},
            {},
        )
    )
    page = await browser.allow(await server.pages.link(IN_SLACK["ada"], READ), ADA)

    assert (page.status_code, code_on(page)) == (400, None)
    assert server.pages.calls("oauth.revoke") == 1
    assert await server.email_of("ada") is None


OWN = {"team_id": TEAM, "enterprise_id": "E0ORG"}
MEMBER = {"id": "U0ADA", "team_id": TEAM, "is_email_confirmed": True, "profile": {"email": ADA}}


@pytest.mark.parametrize("tenant", [TEAM, "E0ORG"])
def test_a_full_members_confirmed_address_counts(tenant: str) -> None:
    """The address counts for a member of the workspace, and for an organisation's member from another workspace."""
    person = Principal("slack", tenant, "U0ADA")
    elsewhere = MEMBER | {"team_id": "T0OTHER", "enterprise_user": {"enterprise_id": "E0ORG"}}

    assert confirmed_address(person, MEMBER, OWN) == ADA
    assert confirmed_address(person, elsewhere, OWN) == ADA


@pytest.mark.parametrize("change", [
    {"is_email_confirmed": False}, {"is_email_confirmed": None}, {"is_restricted": True}, {"is_ultra_restricted": True},
    {"is_stranger": True}, {"is_bot": True}, {"deleted": True}, {"profile": {}}, {"profile": {"email": ""}},
    {"id": "U0GRACE"}, {"team_id": "T0OTHER"}, {"team_id": None},
    {"team_id": "T0OTHER", "enterprise_user": {"enterprise_id": "E0OTHER"}},
])  # fmt: skip
def test_any_other_address_counts_for_nothing(change: dict[str, Any]) -> None:
    """An address that is unconfirmed, or of a guest, bot, stranger, other user or other company, does not count."""
    assert confirmed_address(IN_SLACK["ada"], MEMBER | change, OWN) is None


@pytest.mark.parametrize("tenant", ["T0OTHER", "E0OTHER"])
def test_another_companys_word_for_its_people_counts_for_nothing(tenant: str) -> None:
    """The address of another company's user does not count, because that company could have set one of ours."""
    foreign = MEMBER | {"team_id": tenant, "enterprise_user": {"enterprise_id": tenant}}

    assert confirmed_address(Principal("slack", tenant, "U0ADA"), foreign, OWN) is None
    assert confirmed_address(Principal("slack", tenant, "U0ADA"), MEMBER, OWN) is None


async def test_slack_knows_nobody_by_that_id(server: LinkingServer) -> None:
    """An unknown user has no address, and a token without the permission raises an error that names it."""
    assert await server.directory.find_email(Principal("slack", TEAM, "X-1")) is None
    with pytest.raises(UnavailableError, match=r"users:read\.email"):
        await SlackDirectory(OneWorkspace("xoxb-2"), ANY, f"{server.slack_url}/api/").find_email(IN_SLACK["ada"])


# --- channel_login


async def test_signing_in_at_slack_connects(server: LinkingServer, browser: Browser, other_browser: Browser) -> None:
    """Two people who sign in at Slack at once each get their own grant, without a code."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    pages = [
        await server.to_slack(browser, IN_SLACK["ada"], ADA),
        await server.to_slack(other_browser, IN_SLACK["grace"], GRACE),
    ]
    before = await server.email_of("ada")
    back = [
        await server.at_slack(browser, pages[0], "U0ADA"), await server.at_slack(other_browser, pages[1], "U0GRACE"),
    ]  # fmt: skip
    last = await asyncio.gather(browser.http.get(back[0]), other_browser.http.get(back[1]))

    assert before is None
    assert [page.status_code for page in last] == [200, 200]
    assert ADA in last[0].text
    assert (await server.email_of("ada"), await server.email_of("grace")) == (ADA, GRACE)
    assert sorted(server.pages.waiting.ended, key=str) == [(IN_SLACK["ada"], True), (IN_SLACK["grace"], True)]


async def test_a_forwarded_link_is_refused_by_the_login(server: LinkingServer, browser: Browser) -> None:
    """If Ada consents through Grace's link and signs in as herself, the consent is refused, dropped and revoked."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    slack_page = await server.to_slack(browser, IN_SLACK["grace"], ADA)
    page = await browser.http.get(await server.at_slack(browser, slack_page, "U0ADA"))

    assert page.status_code == 400
    assert "not the one who asked" in page.text
    assert (await server.email_of("ada"), await server.email_of("grace")) == (None, None)
    assert await server.pages.quarantined() == []
    assert server.pages.calls("oauth.revoke") == 1


@pytest.mark.parametrize("claims", [
    {"https://slack.com/team_id": "T0OTHER"}, {"https://slack.com/user_id": "U0GRACE"}, {"nonce": "another"},
    {"aud": "another-app"}, {"iss": "https://slack.example"}, {"exp": 1, "iat": 0}, {"https://slack.com/user_id": None},
], ids=lambda claims: next(iter(claims)))  # fmt: skip
async def test_an_id_token_that_does_not_fit_connects_nothing(
    claims: dict[str, Any], server: LinkingServer, browser: Browser
) -> None:
    """An id_token with another team, user, nonce, app, issuer or time is refused, and the consent is dropped."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    server.openid.claims = claims
    back = await server.at_slack(browser, await server.to_slack(browser, IN_SLACK["ada"], ADA), "U0ADA")
    page = await browser.http.get(back)

    assert page.status_code == 400
    assert await server.email_of("ada") is None
    assert await server.pages.quarantined() == []


async def test_an_id_token_signed_by_somebody_else_connects_nothing(
    server: LinkingServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id_token with another key's signature, or with none, is refused."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    encode = jwt.encode
    for forged in (("RS256", key("mallory")), ("none", None)):
        back = await server.at_slack(browser, await server.to_slack(browser, IN_SLACK["ada"], ADA), "U0ADA")
        with monkeypatch.context() as patch:
            algorithm, secret = forged
            patch.setattr(
                "app.sandbox.slack.openid.jwt.encode",
                lambda claims, _key, _algorithm, headers, a=algorithm, s=secret: encode(claims, s, a, headers=headers),
            )
            page = await browser.http.get(back)

        assert page.status_code == 400
        assert "not signed by Slack" in page.text
    assert await server.email_of("ada") is None


async def test_a_login_needs_the_browser_that_consented(
    server: LinkingServer, browser: Browser, other_browser: Browser
) -> None:
    """A login without the cookie of its own sign-in is refused before Slack is asked; the right browser can finish."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    back = await server.at_slack(browser, await server.to_slack(browser, IN_SLACK["ada"], ADA), "U0ADA")
    await server.to_slack(other_browser, IN_SLACK["grace"], GRACE)
    async with httpx2.AsyncClient() as without_cookies:
        refused = [await without_cookies.get(back)]
    theirs = next(iter(other_browser.http.cookies.jar))
    forged = f"{next(iter(browser.http.cookies.jar)).name}={theirs.value}"
    async with httpx2.AsyncClient(headers={"Cookie": forged}) as with_their_value:
        refused.append(await with_their_value.get(back))

    assert [each.status_code for each in refused] == [400, 400]
    assert (await browser.http.get(back)).status_code == 200
    assert (await server.email_of("ada"), await server.email_of("grace")) == (ADA, None)


async def test_a_login_counts_once(server: LinkingServer, browser: Browser) -> None:
    """Of six simultaneous callbacks one asks Slack and connects, and the waiting message is woken once."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    back = await server.at_slack(browser, await server.to_slack(browser, IN_SLACK["ada"], ADA), "U0ADA")
    pages = await asyncio.gather(*(browser.http.get(back) for _ in range(6)))

    assert all("is being checked" in page.text or "is now connected" in page.text for page in pages)
    assert server.openid.asked == 1
    assert server.pages.waiting.ended == [(IN_SLACK["ada"], True)]
    assert "is now connected" in (await browser.http.get(back)).text


@pytest.mark.parametrize("how", ["denied", "wrong code", "code of another sign-in"])
async def test_a_login_without_a_good_code_drops_the_consent(
    how: str, server: LinkingServer, browser: Browser, other_browser: Browser
) -> None:
    """Cancelling at Slack, or a code from another sign-in, connects nothing and drops the consent."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    slack_page = await server.to_slack(browser, IN_SLACK["ada"], ADA)
    back = await server.at_slack(browser, slack_page, "U0ADA", "deny" if how == "denied" else "allow")
    if how != "denied":
        other = await server.to_slack(other_browser, IN_SLACK["grace"], GRACE)
        theirs = query(await server.at_slack(other_browser, other, "U0ADA"))["code"]
        params = {"state": query(back)["state"], "code": theirs if how == "code of another sign-in" else "x"}
        back = f"{server.pages.url}{LOGIN_PATH}?{httpx2.QueryParams(params)}"
    page = await browser.http.get(back)

    assert page.status_code == 400
    assert await server.email_of("ada") is None
    assert ("U0ADA", "waiting") not in await server.pages.quarantined()


async def test_no_code_stands_in_for_a_login(server: LinkingServer, browser: Browser) -> None:
    """With `channel_login` a code in the chat confirms nothing, and the login still works afterwards."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    slack_page = await server.to_slack(browser, IN_SLACK["ada"], ADA)
    outcome = await server.pages.confirmation.confirm(IN_SLACK["ada"], "22222222")
    page = await browser.http.get(await server.at_slack(browser, slack_page, "U0ADA"))

    assert outcome is None
    assert page.status_code == 200


async def test_the_way_to_slack_keeps_its_secrets(database: Database, key_ring: KeyRing, server: LinkingServer) -> None:
    """The redirect to Slack is not cached, sends no referrer, and does not contain the cookie's value."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    browser = Browser()
    page = await browser.allow(await server.pages.link(IN_SLACK["ada"], READ), ADA)
    kept = [cookie for cookie in browser.http.cookies.jar if cookie.name.startswith("deputy-consent-")]
    asked = query(page.headers["location"])
    await browser.http.aclose()

    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert len(kept) == 1
    assert asked["scope"] == "openid"
    assert asked["redirect_uri"] == login_url(server.pages.url)
    assert asked["team"] == TEAM
    assert str(kept[0].value) not in page.headers["location"]


async def test_the_sandbox_refuses_what_slack_refuses(server: LinkingServer) -> None:
    """The sandbox refuses another app, secret, code, redirect URI, scope or team, and a code that was used."""
    async with httpx2.AsyncClient(base_url=server.slack_url) as http:
        asked = {
            "client_id": "123.456",
            "redirect_uri": login_url(server.pages.url),
            "response_type": "code",
            "scope": "openid",
            "state": "s",
            "nonce": "n",
        }
        signed_in = await http.post("/openid/connect/authorize", params=asked, data={"user": "U0ADA"})
        good = {
            "client_id": "123.456",
            "client_secret": "s3cret",
            "code": query(signed_in.headers["location"])["code"],
            "redirect_uri": asked["redirect_uri"],
        }
        changes = [{"client_id": "x"}, {"client_secret": "x"}, {"code": "x"}, {}, {}]
        answers = [(await http.post("/api/openid.connect.token", data=good | each)).json() for each in changes]
        pages = [
            await http.get("/openid/connect/authorize", params=asked | each)
            for each in (
                {"client_id": "x"},
                {"redirect_uri": "https://evil.example"},
                {"scope": "email"},
                {"team": "T1"},
            )
        ]

    assert [each.get("error") for each in answers] == [
        "invalid_client_id", "bad_client_secret", "invalid_code", None, "code_already_used",
    ]  # fmt: skip
    assert [page.status_code for page in pages] == [400] * 4


async def test_a_state_that_was_never_given_out_is_refused(server: LinkingServer, browser: Browser) -> None:
    """A login callback with an invalid state gets an error page, and the sign-in stays pending."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    slack_page = await server.to_slack(browser, IN_SLACK["ada"], ADA)
    link_id = query(slack_page)["state"].partition(".")[0]
    for state in ("", "x", link_id, f"{link_id}.", f"{link_id}.x", "%00", "é.é"):
        page = await browser.http.get(f"{server.pages.url}{LOGIN_PATH}", params={"state": state, "code": "x"})

        assert page.status_code == 400
    assert await server.pages.quarantined() == [("U0ADA", "waiting")]


async def test_a_state_with_another_token_is_refused(server: LinkingServer, browser: Browser) -> None:
    """A state with the right link id but the wrong token is refused before Slack is asked."""
    server.use(LinkingMode.CHANNEL_LOGIN)
    link_id = query(await server.to_slack(browser, IN_SLACK["ada"], ADA))["state"].partition(".")[0]
    cookie = next(iter(browser.http.cookies.jar)).value
    with pytest.raises(CallbackRefusedError, match="this sign-in has ended"):
        await server.pages.confirmation.prove_by_login(
            state=f"{link_id}.forged", cookie=str(cookie), answer={"code": "x"}
        )

    assert server.openid.asked == 0
    assert await server.pages.quarantined() == [("U0ADA", "waiting")]


async def test_a_login_of_nobody_is_an_error(server: LinkingServer) -> None:
    """A Slack that refuses the app's client secret, or whose keys cannot be read, proves nobody's identity."""
    login = SlackLogin(
        client_id="123.456",
        client_secret="wrong",
        api_base_url=f"{server.slack_url}/api/",
        openid_root=server.slack_url,
        redirect_uri=login_url(server.pages.url),
        http=server.login._http,
    )
    with pytest.raises(CallbackRefusedError, match="bad_client_secret"):
        await login.proves(IN_SLACK["ada"], {"code": "x"}, nonce="n")

    async def unreadable(request: httpx2.Request) -> httpx2.Response:
        is_keys = request.url.path.endswith("/keys")
        return httpx2.Response(200, json={"keys": [{"kty": "none"}]} if is_keys else {"ok": True, "id_token": "x.y.z"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(unreadable)) as http:
        keyless = SlackLogin(
            client_id="123.456",
            client_secret="s3cret",
            api_base_url=f"{server.slack_url}/api/",
            openid_root=server.slack_url,
            redirect_uri=login_url(server.pages.url),
            http=http,
        )
        for name in ("ada", "grace"):
            with pytest.raises(UnavailableError, match="Slack's keys cannot be read"):
                await keyless.proves(IN_SLACK[name], {"code": "x"}, nonce="n")
