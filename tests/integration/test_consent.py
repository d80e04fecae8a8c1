"""Tests of connecting a Google account over real HTTP: what a person sees, and what an attacker can get."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.consent.outcome import Connected, Disconnected
from app.database.database import Database
from app.database.tables import consent_links, owned_by
from app.errors import ConsentError, GoogleError
from app.keys.ring import KeyRing
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.sandbox.visitor import code_on
from tests.fakes.consent import (
    CODE_SECONDS,
    LINK_SECONDS,
    Browser,
    ConsentServer,
    cookie_of,
    open_consent_server,
    query,
)
from tests.fakes.credentials import stored_bytes
from tests.fakes.google_sign_in import GoogleSignIn, google_sign_in, id_token, token_answer
from tests.fakes.sandbox import ADA, GRACE, READ, SEND

LABELS = "https://www.googleapis.com/auth/gmail.labels"
CALLBACK = "/oauth/google/callback"
EXCHANGE = "oauth.token.authorization_code"


@pytest.fixture
async def other_browser() -> AsyncIterator[Browser]:
    """Yield Grace's browser."""
    found = Browser()
    yield found
    await found.http.aclose()


@pytest.fixture
def fake_google() -> Iterator[GoogleSignIn]:
    """Yield a token endpoint whose answers the test chooses."""
    with google_sign_in() as found:
        yield found


async def email_of(server: ConsentServer, principal: Principal) -> str | None:
    """Return the address of the account that this person has connected."""
    grant = await server.grants.find(principal)
    return grant.email if grant else None


async def test_two_people_connect_at_once(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """When two people consent at once, each is connected to the account they chose, and both people's waits end."""
    of_ada, of_grace = await asyncio.gather(
        server.connect(browser, ada, ADA, READ), server.connect(other_browser, grace, GRACE, READ, SEND)
    )

    assert (of_ada.status_code, of_grace.status_code) == (200, 200)
    assert ADA in of_ada.text
    assert GRACE not in of_ada.text
    assert (await email_of(server, ada), await email_of(server, grace)) == (ADA, GRACE)
    assert sorted(server.waiting.ended, key=str) == [(ada, True), (grace, True)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_at_a_link_consumes_nothing(
    method: str, server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A preview bot can fetch a link repeatedly: it gets cookies, and the link still opens for its person."""
    link, _ = await server.link(ada, READ), await server.link(grace, READ)
    seen = [await other_browser.http.request(method, link) for _ in range(3)]

    assert [each.status_code for each in seen] == [200] * 3
    assert ["set-cookie" in each.headers for each in seen] == [True, False, False]
    assert (await browser.allow(link, ADA)).status_code == 200
    assert await email_of(server, grace) is None


async def test_the_page_says_who_asks_for_what(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """The page names the chat user and every scope of its link, and nobody else's."""
    link, _ = await server.link(ada, READ), await server.link(grace, SEND)
    text = (await browser.http.get(link)).text

    assert all(each in text for each in (ada.user, ada.platform, ada.tenant, READ))
    assert not any(each in text for each in (grace.user, SEND))


async def test_names_are_escaped(server: ConsentServer, browser: Browser) -> None:
    """A user name that contains markup is shown as text, before and after the consent."""
    crook = Principal("slack", '"><img src=x onerror=alert(1)>', "<script>alert('&')</script>")
    link = await server.link(crook, READ)
    pages = [await browser.http.get(link), await browser.allow(link, ADA)]

    for page in pages:
        assert page.status_code == 200
        assert "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;" in page.text
        assert "<script" not in page.text
        assert "<img" not in page.text


async def test_a_link_opens_for_one_browser(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal
) -> None:
    """A double click, or "back", leads the link's browser to Google again; other browsers get 410 and no cookies."""
    link = await server.link(ada, READ)
    await other_browser.http.get(link)
    google_url = await browser.open(link)
    again = [await browser.http.post(link), await browser.http.get(link), await browser.http.post(link)]
    elsewhere = [await other_browser.http.request(method, link) for method in ("POST", "GET")]

    assert [each.status_code for each in again] == [303, 200, 303]
    assert {each.headers["location"] for each in (again[0], again[2])} == {google_url}
    assert [each.status_code for each in elsewhere] == [410, 410]
    assert not any("set-cookie" in each.headers for each in elsewhere)
    assert await server.confirm(ada, await browser.http.get(await browser.decide(google_url, ADA)))


async def test_a_link_that_is_over_is_gone(
    server: ConsentServer, database: Database, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Expired, superseded and unknown links return 410, and another person's link still opens."""
    expired, _ = await server.link(ada, READ), await server.link(grace, READ)
    async with database.writing() as connection:
        mine = owned_by(consent_links, ada)
        await connection.execute(consent_links.update().where(mine).values(expires_at=0.0))
    superseded = await server.link(ada, READ)
    last = await server.link(ada, SEND)

    for link in (expired, superseded, f"{server.url}/connect/google/unknown", f"{last}x"):
        for method in ("GET", "POST"):
            assert (await browser.http.request(method, link)).status_code == 410
    assert (await browser.http.get(last)).status_code == 200
    assert (await browser.http.get(await server.link(grace, READ))).status_code == 200


async def test_a_link_that_covers_is_given_again(server: ConsentServer, ada: Principal, grace: Principal) -> None:
    """A request for fewer scopes gets the same link, one for more a link for the union; other people's links stay."""
    first, of_grace = await server.link(ada, READ, SEND), await server.link(grace, READ)

    assert await server.link(ada, SEND) == first
    wider = await server.link(ada, LABELS)
    found = await server.browser_sign_in.look_at(wider.rpartition("/")[2])
    assert found.oauth_scopes == {READ, SEND, LABELS}
    with pytest.raises(ConsentError):
        await server.browser_sign_in.look_at(first.rpartition("/")[2])
    assert await server.link(grace, READ) == of_grace


async def test_what_was_granted_stays(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """A consent to more asks only for the new scopes, and keeps those already granted."""
    await server.connect(browser, ada, ADA, READ)
    link = await server.link(ada, SEND)

    assert (await server.browser_sign_in.look_at(link.rpartition("/")[2])).oauth_scopes == {SEND}
    await server.confirm(ada, await browser.allow(link, ADA))
    assert await server.covers(ada, READ, SEND)


async def test_google_is_asked_for_this_link_alone(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A link asks without include_granted_scopes, or a forwarded link would yield all that its victim once granted."""
    await server.connect(browser, grace, ADA, SEND)
    asked = query(await browser.open(await server.link(ada, READ)))

    assert "include_granted_scopes" not in asked
    assert asked["scope"].split() == ["openid", "email", READ]
    assert asked["redirect_uri"] == f"{server.url}{CALLBACK}"
    assert (asked["code_challenge_method"], asked["access_type"]) == ("S256", "offline")
    await server.connect(browser, grace, ADA, READ)
    assert await server.covers(grace, READ)


async def test_another_host_header_changes_nothing(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """The address that Google sends people back to is constant, regardless of the request's host headers."""
    link = await server.link(ada, READ)
    response = await browser.http.post(link, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})

    assert response.status_code == 303
    assert "evil" not in response.headers["location"]
    assert query(response.headers["location"])["redirect_uri"] == f"{server.url}{CALLBACK}"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_cannot_press_the_button(
    site: str, server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A form on another site is refused, because its visitor would bypass the page that says who is asking."""
    link, other = await server.link(ada, READ), await server.link(grace, READ)
    forged = await browser.http.post(link, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})

    assert forged.status_code == 403
    assert "set-cookie" not in forged.headers
    assert link.rpartition("/")[2] not in forged.text
    for each, itself in ((link, "same-origin"), (other, "none")):
        assert (await browser.http.post(each, headers={"Sec-Fetch-Site": itself})).status_code == 303


async def test_a_callback_needs_the_browser_that_opened_the_link(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Without cookies, or with those of another sign-in, a callback is refused before Google is asked."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    async with httpx2.AsyncClient() as without_cookies:
        refused = [await without_cookies.get(callback)]
    await other_browser.open(await server.link(grace, READ))
    refused.append(await other_browser.http.get(callback))
    theirs = next(iter(other_browser.http.cookies.jar))
    forged = f"{next(iter(browser.http.cookies.jar)).name}={theirs.value}"
    async with httpx2.AsyncClient(headers={"Cookie": forged}) as with_their_value:
        refused.append(await with_their_value.get(callback))

    assert [each.status_code for each in refused] == [400] * 3
    assert server.calls(EXCHANGE) == 0
    assert await server.confirm(ada, await browser.http.get(callback))
    assert (await email_of(server, ada), await email_of(server, grace)) == (ADA, None)


async def test_a_victim_of_a_forwarded_google_address_binds_nothing(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A person sent Grace's address at Google instead of her link has no cookie, so their consent connects nothing."""
    google_url = await other_browser.open(await server.link(grace, READ))
    callback = await browser.decide(google_url, ADA)
    response = await browser.http.get(callback)

    assert response.status_code == 400
    assert (await email_of(server, ada), await email_of(server, grace)) == (None, None)
    assert server.waiting.ended == []


async def test_a_callback_counts_once(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A replayed callback changes nothing, even with another code or an error: its page shows the current state."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    await server.link(grace, READ)
    first = await browser.http.get(callback)
    state = query(callback)["state"]
    replays = [callback, f"{server.url}{CALLBACK}?state={state}&code=4/other", f"{CALLBACK}?state={state}&error=x"]
    again = [await browser.http.get(f"{server.url}{each.removeprefix(server.url)}") for each in replays]

    assert {code_on(each) for each in again} == {code_on(first)}
    assert await server.confirm(ada, first)
    assert "is now connected" in (await browser.http.get(callback)).text
    assert server.calls(EXCHANGE) == 1
    assert await email_of(server, ada) == ADA
    assert server.waiting.ended == [(ada, True)]


async def test_of_six_callbacks_at_once_one_succeeds(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Of six simultaneous callbacks one exchanges the code, and the waiting messages are woken once."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    pages = await asyncio.gather(*(browser.http.get(callback) for _ in range(6)))

    assert [page.status_code for page in pages] == [200] * 6
    assert all(code_on(page) or "is being checked" in page.text for page in pages)
    assert await server.confirm(ada, await browser.http.get(callback))
    assert server.calls(EXCHANGE) == 1
    assert server.waiting.ended == [(ada, True)]
    assert await email_of(server, grace) is None


async def test_who_says_no_at_google_is_told_so_and_connects_nothing(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A refusal's page says so each time it is loaded, messages are woken once, and Grace's sign-in is unaffected."""
    mine, hers = await server.link(ada, READ), await server.link(grace, READ)
    google_url = await other_browser.open(hers)
    callback = await browser.decide(await browser.open(mine), ADA, decision="deny")
    pages = [await browser.http.get(callback) for _ in range(3)]
    again = await browser.http.get(mine)
    assert isinstance(
        await server.confirm(grace, await other_browser.http.get(await other_browser.decide(google_url, GRACE))),
        Connected,
    )

    assert [page.status_code for page in pages] == [200] * 3
    assert ["you did not allow the access, so nothing was connected" in page.text.lower() for page in pages] == [
        True
    ] * 3
    assert "Allow" not in again.text
    assert server.waiting.ended == [(ada, False), (grace, True)]
    assert server.calls(EXCHANGE) == 1
    assert (await email_of(server, ada), await email_of(server, grace)) == (None, GRACE)


async def test_after_a_disconnect_page_and_code_say_what_is_true_now(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A used code reconnects nothing, the page no longer says "connected", and Grace's connection is unaffected."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    code_page = await browser.http.get(callback)
    await server.confirm(ada, code_page)
    hers = await server.connect(other_browser, grace, GRACE, READ)
    async with server.database.writing() as connection:
        await server.grants.erase(connection, ada)
    said = await server.confirm(ada, code_page)

    assert isinstance(said, Disconnected)
    assert said.email == ADA
    assert "has been disconnected since" in (await browser.http.get(callback)).text
    assert await email_of(server, ada) is None
    assert isinstance(await server.confirm(grace, hers), Connected)


@pytest.mark.parametrize("state", ["", "x", "0" * 43, "%00", "%ff%fe", "x" * 5000])
async def test_a_state_that_was_never_given_out_is_refused(
    state: str, server: ConsentServer, browser: Browser, ada: Principal
) -> None:
    """A callback with an unknown state is answered with an error page, and Google is not asked."""
    await browser.open(await server.link(ada, READ))
    for rest in ("code=4/x", "error=access_denied", "", "code=4/x&error=access_denied"):
        page = await browser.http.get(f"{server.url}{CALLBACK}?state={state}&{rest}")

        assert page.status_code == 400
        assert "Not connected" in page.text
    assert server.calls(EXCHANGE) == 0


async def test_a_code_of_another_sign_in_is_refused(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Ada's browser cannot redeem the code that Grace got: PKCE ties a code to its own sign-in."""
    mine = query(await browser.open(await server.link(ada, READ)))["state"]
    callback = await other_browser.decide(await other_browser.open(await server.link(grace, READ)), GRACE)
    page = await browser.http.get(f"{server.url}{CALLBACK}", params={"state": mine, "code": query(callback)["code"]})

    assert page.status_code == 400
    assert server.calls(EXCHANGE) == 1
    assert (await email_of(server, ada), await email_of(server, grace)) == (None, None)
    assert server.waiting.ended == []


async def test_a_code_is_exchanged_once(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A code that was redeemed cannot be used in a second sign-in of the same browser."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    await server.confirm(ada, await browser.http.get(callback))
    second = query(await browser.open(await server.link(grace, READ)))["state"]
    page = await browser.http.get(f"{server.url}{CALLBACK}", params={"state": second, "code": query(callback)["code"]})

    assert page.status_code == 400
    assert await email_of(server, grace) is None
    assert server.waiting.ended == [(ada, True)]


async def test_a_person_may_say_no(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A refusal connects nothing and wakes its person's messages, and another person's consent is unaffected."""
    google_url = await browser.open(await server.link(ada, READ))
    theirs = await other_browser.open(await server.link(grace, READ))
    page = await browser.http.get(await browser.decide(google_url, ADA, decision="deny"))
    await server.confirm(grace, await other_browser.http.get(await other_browser.decide(theirs, GRACE)))

    assert page.status_code == 200
    assert "nothing was connected" in page.text
    assert server.waiting.ended == [(ada, False), (grace, True)]
    assert (await email_of(server, ada), await email_of(server, grace)) == (None, GRACE)
    assert server.calls(EXCHANGE) == 1


async def test_granted_is_what_google_granted(
    server: ConsentServer, browser: Browser, other_browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A scope that was unticked is not granted and the page says so; another person's grant has it."""
    page = await server.connect(browser, ada, ADA, READ, SEND, unticked=[SEND])
    whole = await server.connect(other_browser, grace, GRACE, READ, SEND)

    assert SEND in page.text
    assert READ not in page.text
    assert SEND not in whole.text
    assert await server.covers(ada, READ)
    assert not await server.covers(ada, SEND)
    assert await server.covers(grace, READ, SEND)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of-another-sign-in"},
        {"nonce": ""},
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"email_verified": False},
        {"signed_with": "mallory"},
        {"exp": 1, "iat": 0},
    ],
    ids=lambda claims: next(iter(claims)),
)
async def test_an_id_token_that_does_not_fit_connects_nothing(
    claims: dict[str, Any],
    server: ConsentServer,
    fake_google: GoogleSignIn,
    browser: Browser,
    other_browser: Browser,
    ada: Principal,
    grace: Principal,
) -> None:
    """An id token with a wrong nonce, issuer, audience, signature or time, or an unverified address, gets a 400."""
    server.use(fake_google.auth)
    for each, person, changes in ((browser, ada, claims), (other_browser, grace, {})):
        asked = query(await each.open(await server.link(person, READ)))
        token = id_token(**{"nonce": asked["nonce"], **changes})
        fake_google.answers["/token"] = token_answer(id_token=token, scope=f"openid {READ}")
        page = await each.http.get(f"{server.url}{CALLBACK}", params={"state": asked["state"], "code": "4/x"})

        assert page.status_code == (400 if changes else 200)
        assert code_on(page) is None if changes else await server.confirm(person, page)
    assert await email_of(server, ada) is None
    assert await email_of(server, grace) is not None
    assert server.waiting.ended == [(grace, True)]


@pytest.mark.parametrize(("status", "answer"), [(503, {}), (200, {}), (401, {"error": "invalid_client"})])
async def test_a_google_that_does_not_answer_is_said_so(
    status: int,
    answer: dict[str, Any],
    server: ConsentServer,
    fake_google: GoogleSignIn,
    browser: Browser,
    ada: Principal,
) -> None:
    """When Google does not answer, the page is 502, also on reload, and the same link can be opened again."""
    server.use(fake_google.auth)
    fake_google.status, fake_google.answers["/token"] = status, answer
    link = await server.link(ada, READ)
    params = {"state": query(await browser.open(link))["state"], "code": "4/x"}
    pages = [await browser.http.get(f"{server.url}{CALLBACK}", params=params) for _ in range(2)]

    assert [page.status_code for page in pages] == [502, 502]
    assert ("administrator" in pages[1].text) is (status == 401)
    assert await server.link(ada, READ) == link
    assert await browser.open(link)
    assert await email_of(server, ada) is None


async def test_what_could_not_be_checked_ends_at_google(
    server: ConsentServer, fake_google: GoogleSignIn, browser: Browser, ada: Principal
) -> None:
    """If the id token cannot be checked for lack of certificates, the access is revoked at Google and no row stays."""
    server.use(fake_google.auth)
    fake_google.certs_status = 503
    asked = query(await browser.open(await server.link(ada, READ)))
    fake_google.answers["/token"] = token_answer(id_token=id_token(nonce=asked["nonce"]))
    page = await browser.http.get(f"{server.url}{CALLBACK}", params={"state": asked["state"], "code": "4/x"})
    revoked = [request.form["token"] for request in fake_google.received if request.path == "/revoke"]

    assert page.status_code == 502
    assert revoked == ["1//refresh"]
    assert await server.quarantined() == []
    assert await email_of(server, ada) is None


async def test_a_revocation_that_failed_is_found_by_a_scan(
    server: ConsentServer, fake_google: GoogleSignIn, browser: Browser, ada: Principal
) -> None:
    """A sign-in that could be neither checked nor revoked stays as an ending row, which the next scan finishes."""
    server.use(fake_google.auth)
    fake_google.certs_status = 503
    asked = query(await browser.open(await server.link(ada, READ)))
    fake_google.answers["/token"] = token_answer(id_token=id_token(nonce=asked["nonce"]))
    server.dropping._providers = {GOOGLE: _Unreachable()}
    await browser.http.get(f"{server.url}{CALLBACK}", params={"state": asked["state"], "code": "4/x"})
    left = await server.quarantined()
    server.dropping._providers = {GOOGLE: fake_google.auth}
    await server.dropping.sweep()

    assert left == [("ada", "ending")]
    assert await server.quarantined() == []
    assert [request.form["token"] for request in fake_google.received if request.path == "/revoke"] == ["1//refresh"]


class _Unreachable:
    """Stand-in for a Google that does not answer revocations."""

    ends_all, title = True, "Google"

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        raise GoogleError("Google gave no answer to a revocation")


@pytest.mark.parametrize(
    ("error", "says"), [("server_error", "Google had a fault"), ("admin_policy_enforced", "administrator")]
)
async def test_an_error_that_is_not_the_persons_no_ends_nothing(
    error: str, says: str, server: ConsentServer, browser: Browser, caplog: pytest.LogCaptureFixture, ada: Principal
) -> None:
    """An error other than a refusal is shown on the page and logged; no message is woken and the link opens again."""
    link = await server.link(ada, READ)
    state = query(await browser.open(link))["state"]
    page = await browser.http.get(f"{server.url}{CALLBACK}", params={"state": state, "error": error})
    ended = list(server.waiting.ended)
    last = await browser.allow(link, ADA)

    assert page.status_code == 502
    assert says in page.text
    assert error in caplog.text
    assert ended == []
    assert await server.confirm(ada, last)


@pytest.mark.parametrize("secure", [False, True])
async def test_the_cookie_goes_nowhere_else(
    secure: bool, database: Database, key_ring: KeyRing, browser: Browser, ada: Principal
) -> None:
    """The cookie is limited to this host, HTTP and top-level navigation, and to HTTPS where HTTPS is used."""
    async with open_consent_server(database, key_ring, secure=secure) as server:
        response = await browser.http.post(await server.link(ada, READ))
    cookie = cookie_of(response)

    assert cookie.key.startswith("__Host-deputy-consent-") is secure
    assert bool(cookie["secure"]) is secure
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", "/")
    assert (cookie["domain"], cookie["max-age"]) == ("", str(int(LINK_SECONDS + CODE_SECONDS)))
    assert query(response.headers["location"])["state"] not in response.headers["set-cookie"]


async def test_two_sign_ins_in_one_browser_do_not_meet(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Two sign-ins in one browser have separate cookies, and both pages can be reloaded, after success or refusal."""
    urls = [await browser.open(await server.link(person, READ)) for person in (ada, grace)]
    assert len(list(browser.http.cookies.jar)) == 2
    callbacks = [await browser.decide(urls[0], ADA), await browser.decide(urls[1], GRACE, decision="deny")]
    pages = [await browser.http.get(callback) for callback in callbacks]

    assert [page.status_code for page in pages] == [200, 200]
    assert await server.confirm(ada, pages[0])
    assert (await email_of(server, ada), await email_of(server, grace)) == (ADA, None)
    again = [await browser.http.get(str(page.url)) for page in pages]
    assert ["is now connected" in again[0].text, "You did not allow" in again[1].text] == [True, True]


async def test_the_pages_keep_their_secrets(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """No page may be stored, framed or indexed, send a referrer, or run a script."""
    link = await server.link(ada, READ)
    shown = await browser.http.get(link)
    done = await browser.allow(link, ADA)
    over = await browser.http.get(link)

    for page in (shown, done, over, await browser.http.get(f"{server.url}{CALLBACK}")):
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-robots-tag"] == "noindex, nofollow"
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy


async def test_the_way_to_google_keeps_its_secrets(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """The redirect to Google, whose address contains the state, is not stored and sends no referrer."""
    response = await browser.http.post(await server.link(ada, READ))

    assert response.status_code == 303
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_secrets_stand_nowhere(
    server: ConsentServer,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    browser: Browser,
    other_browser: Browser,
    ada: Principal,
    grace: Principal,
) -> None:
    """After two complete consents, no token, state, nonce, code or cookie is in the database or in the server's log."""
    caplog.set_level(logging.DEBUG)
    secrets, written = set(), b""
    for each, person, account in ((browser, ada, ADA), (other_browser, grace, GRACE)):
        link = await server.link(person, READ)
        google_url = await each.open(link)
        asked = query(google_url)
        cookies = {str(cookie.value) for cookie in each.http.cookies.jar}
        callback = await each.decide(google_url, account)
        page = await each.http.get(callback)
        secrets.add(code_on(page) or "")
        written += await stored_bytes(database, tmp_path)
        await server.confirm(person, page)
        grant = await server.grants.find(person)
        assert grant is not None
        secrets |= {link.rpartition("/")[2], asked["state"], asked["nonce"], query(callback)["code"], *cookies}
        secrets |= {grant.access_token, str(grant.refresh_token)}
    written += await stored_bytes(database, tmp_path)
    browsers = ("httpx2", "httpcore2")  # the browsers run in this process, so they log too
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith(browsers))

    assert len(secrets) == 16
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in logged
