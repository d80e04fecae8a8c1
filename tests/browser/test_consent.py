"""Consent in a real browser: its cookies, its history, other sites, and two people at once."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Pair
from tests.browser.people import NAME, Person
from tests.fakes.server import ADA, GRACE, TEAM, Server, own_markers

pytestmark = pytest.mark.asyncio(loop_scope="package")

EXCHANGE = "oauth.token.authorization_code"


async def consent(person: Person) -> str:
    """Complete the consent in the browser, and return the code on its last page."""
    await person.go_to_google(await person.link())
    await person.allow()
    return await person.code()


async def confirm(server: Server, person: Person, code: str) -> set[str]:
    """Send the code to the assistant, and return the addresses of those whose mail is shown then."""
    told = await person.say(f"confirm {code}")
    assert f"Connected: {person.sender.email}" in told
    told += await person.driver.next(person.sender)
    adas, graces = own_markers(server.google, (ADA, GRACE)).values()
    own = {ADA: adas - graces, GRACE: graces - adas}  # they also write to each other
    return {email for email, markers in own.items() if any(marker in told.lower() for marker in markers)}


def shown_as(person: Person) -> str:
    """Return how pages show somebody: with their id, and with their name if their channel knows it."""
    user = person.driver.principal(person.sender).user
    return f"Grace Hopper ({user}, Slack, {TEAM})" if person.driver.platform == "slack" else f"{user} (HTTP, demo)"


def exchanges(server: Server) -> int:
    """Return how often Google was asked to exchange a code for tokens."""
    return sum(call.method_id == EXCHANGE for call in server.google.calls)


async def test_two_people_consent_at_once(server: Server, people: Pair) -> None:
    """Two people at once each confirm with the code in their own browser, and are answered from their own mailbox."""
    codes = await asyncio.gather(*(consent(person) for person in people))
    whose = [await person.page.locator("dd").last.inner_text() for person in people]
    shown = await asyncio.gather(*(confirm(server, person, code) for person, code in zip(people, codes, strict=True)))
    hosts = {urlsplit(str(server.settings.google.endpoints.authorize)).hostname, NAME}

    assert len(set(codes)) == 2
    assert whose == [shown_as(person) for person in people]
    for person, mails in zip(people, shown, strict=True):
        assert await person.page.get_by_text(person.sender.email).is_visible()
        assert mails == {person.sender.email}
        assert person.sites() == hosts
        assert person.complaints == []
        assert [sent for sent in await person.referrers() if sent.startswith(server.settings.server.public_url)] == []
        assert len(await person.page.context.cookies()) == 1
        assert "?" not in person.page.url


async def test_cookies_keep_a_sign_in_to_the_browser_that_opened_it(server: Server, people: Pair) -> None:
    """Google's address for Ada's sign-in is refused in Grace's browser, and leads to a code in Ada's own."""
    ada, grace = people
    await asyncio.gather(*[person.go_to_google(await person.link()) for person in people])
    [kept] = await ada.page.context.cookies()
    before = exchanges(server)
    tab = await grace.page.context.new_page()
    await tab.goto(ada.page.url)
    await tab.get_by_label(grace.sender.email).check()
    async with tab.expect_response(lambda response: "/oauth/google/callback" in response.url) as callback:
        await tab.get_by_role("button", name="Allow").click()
    refused = await callback.value
    await asyncio.gather(*(person.allow() for person in people))

    assert kept["name"].startswith("__Host-deputy-consent-")
    assert (kept["domain"], kept["path"], kept["sameSite"]) == (NAME, "/", "Lax")
    assert (kept["secure"], kept["httpOnly"]) == (True, True)
    assert refused.status == 400
    assert "This browser did not open the link" in await tab.locator("main").inner_text()
    assert len({await person.code() for person in people}) == 2
    assert exchanges(server) == before + 2


async def test_a_forwarded_link_gives_the_one_who_sent_it_nothing(server: Server, people: Pair) -> None:
    """If Grace consents by Ada's link, the page names both, and nothing is connected for either without Ada's code."""
    ada, grace = people
    link = await ada.link()
    await grace.page.goto(link)
    asks = await grace.page.locator("p").first.inner_text()
    await grace.go_to_google(link)
    await grace.allow()
    code = await grace.code()
    told = await grace.say(f"confirm {code}")
    page = await grace.page.locator("main").inner_text()

    assert "I don't know this code" in told
    assert grace.sender.email in page
    assert f"The assistant of {shown_as(ada)} asks" in asks
    assert shown_as(ada) in page
    assert "Never give this code to anybody" in page
    for person in people:
        assert await server.container.grants().find(person.driver.principal(person.sender)) is None


async def test_back_and_reload_consume_nothing_twice(server: Server, people: Pair) -> None:
    """Going back and reloading keeps the code valid, asks Google only once, and shows the code again."""
    before = exchanges(server)
    codes = await asyncio.gather(*(consent(person) for person in people))
    reloaded = await asyncio.gather(*(person.page.reload() for person in people))
    for person in people:
        await person.page.go_back()  # to Google's page
        link = await person.page.go_back()
        assert link is not None
        assert link.status == 200
        assert await person.code() in codes
    shown = await asyncio.gather(*(confirm(server, person, code) for person, code in zip(people, codes, strict=True)))

    assert [answer.status for answer in reloaded if answer] == [200, 200]
    assert exchanges(server) == before + 2
    assert shown == [{person.sender.email} for person in people]
