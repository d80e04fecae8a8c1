"""Attacks on the way from a link in a chat to a grant: Mallory wants the victim's account in her own chat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.database.tables import consent_links, owned_by, quarantined_grants
from app.sandbox.visitor import code_on
from tests.attacks.attack import CALLBACK, EXCHANGE, REVOKE, Attack, accounts, attack_on, shown
from tests.fakes.consent import query
from tests.fakes.databases import Databases
from tests.fakes.environment import open_environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = "confirm 2222-2222"
TRIES = 5
PREVIEW_BOTS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23",
    "Mozilla/5.0 (compatible; SafeLinks)",
)


async def test_forwarded_link(attack: Attack) -> None:
    """Mallory sends the victim her own link and the victim consents: without the code it is a grant of nobody."""
    page = await attack.browser.allow(await attack.link(attack.mallory), attack.victims)
    chats = [await attack.ask(attack.mallory, f"confirm {attack.victims}"), await attack.ask(attack.mallory)]

    code = code_on(page)
    assert code is not None
    assert all(each in page.text for each in (attack.victims, attack.mallory.user, "Never give this code"))
    assert code not in str(chats)
    assert attack.victims not in str(chats)
    assert await attack.waiting(attack.mallory) == 1
    await attack.assert_nothing_gained()


async def test_raw_google_url_forwarded(attack: Attack) -> None:
    """Mallory opens her link herself and forwards Google's address: the victim's browser has no cookie, so it ends."""
    google_url = await attack.own_browser.open(await attack.link(attack.mallory))
    callback = await attack.browser.decide(google_url, attack.victims)
    page = await attack.browser.http.get(callback)

    assert page.status_code == 400
    assert attack.calls(EXCHANGE) == 0
    assert await attack.waiting(attack.mallory) == 0
    await attack.assert_nothing_gained()


async def test_callback_in_another_browser(attack: Attack) -> None:
    """Mallory gets hold of the address that Google sends the victim back to: in her browser it is worth nothing."""
    google_url = await attack.browser.open(await attack.link(attack.victim))
    await attack.own_browser.open(await attack.link(attack.mallory))  # so that she has a cookie, though another one
    callback = await attack.browser.decide(google_url, attack.victims)
    stolen = await attack.own_browser.http.get(callback)
    hers = await attack.browser.http.get(callback)

    assert (stolen.status_code, hers.status_code) == (400, 200)
    assert attack.calls(EXCHANGE) == 1
    await attack.ask(attack.victim, f"confirm {code_on(hers)}")
    assert await attack.account_of(attack.victim) == attack.victims
    await attack.note_bearer(attack.victim)
    await attack.assert_nothing_gained()


async def test_code_typed_in_another_chat(attack: Attack) -> None:
    """The victim types the code of Mallory's link in her own chat: it connects nothing, hers or Mallory's."""
    page = await attack.browser.allow(await attack.link(attack.mallory), attack.victims)
    told = await attack.ask(attack.victim, f"confirm {code_on(page)}")

    assert "I don't know this code" in told["answer"]
    assert await attack.account_of(attack.victim) is None
    await attack.assert_nothing_gained()


async def test_code_of_the_victims_own_sign_in(attack: Attack) -> None:
    """Mallory reads the victim's code over her shoulder: in Mallory's chat it is none, and it still is the victim's."""
    page = await attack.browser.allow(await attack.link(attack.victim), attack.victims)
    stolen = await attack.ask(attack.mallory, f"confirm {code_on(page)}")
    hers = await attack.ask(attack.victim, f"confirm {code_on(page)}")

    assert "I don't know this code" in stolen["answer"]
    assert "Connected" in hers["answer"]
    await attack.note_bearer(attack.victim)
    await attack.assert_nothing_gained()


async def test_replay(attack: Attack) -> None:
    """Mallory has the victim's link, callback, cookies and code from yesterday: all they show is that it is over."""
    link = await attack.link(attack.victim)
    callback = await attack.browser.decide(await attack.browser.open(link), attack.victims)
    cookies = dict(attack.browser.http.cookies)
    code = code_on(await attack.browser.http.get(callback))
    await attack.ask(attack.victim, f"confirm {code}")
    await attack.note_bearer(attack.victim)
    attack.own_browser.http.cookies.update(cookies)
    replayed = [
        await attack.own_browser.http.get(link),
        await attack.own_browser.http.post(link),
        await attack.own_browser.http.get(callback),
    ]
    told = await attack.ask(attack.mallory, f"confirm {code}")

    assert [each.status_code for each in replayed] == [200, 303, 200]
    assert all(code_on(each) is None and "<form" not in each.text for each in replayed)
    assert attack.calls(EXCHANGE) == 1
    assert "I don't know this code" in told["answer"]
    await attack.assert_nothing_gained()
    await attack.assert_reads_her_mail()


@pytest.mark.asyncio(loop_scope="function")
async def test_six_concurrent_callbacks(tmp_path: Path, databases: Databases) -> None:
    """A callback is sent six times at once to get past a check: one is taken, Google is asked once, one code is out."""
    async with (
        open_environment(tmp_path, databases, people=accounts()) as environment,
        environment.server() as server,
        attack_on(server) as attack,
    ):
        google_url = await attack.browser.open(await attack.link(attack.mallory))
        callback = await attack.browser.decide(google_url, attack.victims)
        pages = await asyncio.gather(*(attack.browser.http.get(callback) for _ in range(6)))

        assert len({code_on(page) for page in pages} - {None}) <= 1
        assert code_on(await attack.browser.http.get(callback)) is not None
        assert attack.calls(EXCHANGE) == 1
        assert await attack.waiting(attack.mallory) == 1
        await attack.assert_nothing_gained()


async def test_code_and_state_mixed_up(attack: Attack) -> None:
    """Mallory puts the code that Google gave the victim into her own callback: it belongs to another verifier."""
    victims_url = await attack.browser.open(await attack.link(attack.victim))
    mallorys_url = await attack.own_browser.open(await attack.link(attack.mallory))
    code = query(await attack.browser.decide(victims_url, attack.victims))["code"]
    injected = {"state": query(mallorys_url)["state"], "code": code}
    page = await attack.own_browser.http.get(f"{attack.server.base_url}{CALLBACK}", params=injected)

    assert page.status_code == 400
    assert attack.statuses(EXCHANGE) == [400]  # Google refused it
    assert await attack.waiting(attack.mallory) == 0
    await attack.assert_nothing_gained()


async def test_login_csrf(attack: Attack) -> None:
    """Mallory wants her account in the victim's chat, to read what is put there: no callback or code of hers counts."""
    hers = await attack.link(attack.victim)
    google_url = await attack.own_browser.open(await attack.link(attack.mallory))
    state = query(await attack.browser.open(hers))["state"]
    callback = await attack.own_browser.decide(google_url, attack.mallorys)
    lured = [
        await attack.browser.http.get(callback),
        await attack.browser.http.get(
            f"{attack.server.base_url}{CALLBACK}", params={"state": state, "code": query(callback)["code"]}
        ),
    ]
    page = await attack.own_browser.allow(await attack.link(attack.mallory, "connect google"), attack.mallorys)
    typed = await attack.ask(attack.victim, f"confirm {code_on(page)}")

    assert [each.status_code for each in lured] == [400, 400]
    assert "I don't know this code" in typed["answer"]
    assert (await attack.account_of(attack.victim), await attack.waiting(attack.victim)) == (None, 0)
    await attack.assert_nothing_gained()


async def test_form_on_mallorys_site(attack: Attack) -> None:
    """Mallory's site posts her link in the victim's browser, past the page that warns her: refused, and not used up."""
    link = await attack.link(attack.mallory)
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Origin": "https://mallory.example"}
        refused = await attack.browser.http.post(link, headers=headers)
        assert (refused.status_code, "location" in refused.headers, "set-cookie" in refused.headers) == (
            403, False, False,
        )  # fmt: skip

    assert (await attack.browser.http.get(link)).status_code == 200
    await attack.assert_nothing_gained()


async def test_framed_page(attack: Attack) -> None:
    """Mallory lays the link's page under a button of her own site: browsers do not show it in a frame."""
    page = await attack.browser.http.get(await attack.link(attack.mallory))

    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")


async def test_preview_bots(attack: Attack) -> None:
    """Bots fetch the victim's link before she does: they see no way to Google, and she can still open it."""
    link = await attack.link(attack.victim)
    seen = [
        await attack.own_browser.http.request(method, link, headers={"User-Agent": bot})
        for bot in PREVIEW_BOTS
        for method in ("GET", "HEAD")
    ]
    page = await attack.browser.allow(link, attack.victims)

    assert {each.status_code for each in seen} == {200}
    assert not any("/o/oauth2/" in shown(each) for each in seen)
    assert code_on(page) is not None
    await attack.assert_nothing_gained()


async def test_preview_bot_at_the_callback(attack: Attack) -> None:
    """A bot fetches the victim's callback before her browser does: without her cookie it spends nothing."""
    callback = await attack.browser.decide(await attack.browser.open(await attack.link(attack.victim)), attack.victims)
    seen = [
        await attack.own_browser.http.request(method, address)
        for method in ("GET", "HEAD")
        for address in (callback, f"{callback}&error=access_denied")
    ]
    page = await attack.browser.http.get(callback)

    assert all(each.status_code >= 400 for each in seen)
    assert code_on(page) is not None
    await attack.assert_nothing_gained()


@pytest.mark.parametrize("when", ["before it is opened", "before the callback"])
async def test_expired_link(attack: Attack, when: str) -> None:
    """Mallory forwards a link whose ten minutes are over, or the victim takes too long: it yields nothing."""
    link = await attack.link(attack.mallory)
    opened = await attack.browser.open(link) if when == "before the callback" else None
    await _expire(attack, consent_links)
    page = await attack.browser.http.post(link)
    if opened is not None:
        page = await attack.browser.http.get(await attack.browser.decide(opened, attack.victims))

    assert page.status_code == (400 if opened else 410)
    assert attack.calls(EXCHANGE) == 0
    await attack.assert_nothing_gained()


async def test_expired_code(attack: Attack) -> None:
    """Mallory gets the code out of the victim after its ten minutes: it connects nothing, and Google is told."""
    page = await attack.browser.allow(await attack.link(attack.mallory), attack.victims)
    await _expire(attack, quarantined_grants)
    told = await attack.ask(attack.mallory, f"confirm {code_on(page)}")
    await attack.server.container.unconfirmed().sweep()

    assert "I don't know this code" in told["answer"]
    assert await attack.waiting(attack.mallory) == 0
    assert attack.calls(REVOKE) == 1
    await attack.assert_nothing_gained()


@pytest.mark.parametrize("when", ["before it is opened", "before the callback"])
async def test_superseded_link(attack: Attack, when: str) -> None:
    """Mallory forwards a link of which she was sent a newer one: opened or not, the older one yields nothing."""
    link = await attack.link(attack.mallory)
    opened = await attack.browser.open(link) if when == "before the callback" else None
    newer = await attack.link(attack.mallory, "connect google")
    page = await attack.browser.http.post(link)
    if opened is not None:
        page = await attack.browser.http.get(await attack.browser.decide(opened, attack.victims))

    assert newer != link
    assert page.status_code == (400 if opened else 410)
    assert attack.calls(EXCHANGE) == 0
    await attack.assert_nothing_gained()


async def test_brute_forced_code(attack: Attack) -> None:
    """Mallory tries codes for the victim's sign-in, many at once: after five it is gone, and the right one is late."""
    page = await attack.browser.allow(await attack.link(attack.mallory), attack.victims)
    guesses = await asyncio.gather(
        *(attack.ask(attack.mallory, WRONG, conversation=f"guess-{number}") for number in range(12))
    )
    counted = [each["answer"] for each in guesses if each["answer"].startswith("That ")]
    late = await attack.ask(attack.mallory, f"confirm {code_on(page)}")

    assert len(counted) == TRIES
    assert "I don't know this code" in late["answer"]
    assert await attack.waiting(attack.mallory) == 0
    assert attack.calls(REVOKE) == 1
    await attack.assert_nothing_gained()


async def test_victim_who_refuses(attack: Attack) -> None:
    """The victim opens Mallory's link and says no at Google: nothing waits, and Mallory's chat learns no address."""
    google_url = await attack.browser.open(await attack.link(attack.mallory))
    page = await attack.browser.http.get(await attack.browser.decide(google_url, attack.victims, decision="deny"))
    told = await first_told(attack)

    assert page.status_code == 200
    assert "You did not connect" in told
    assert attack.victims not in told
    await attack.assert_nothing_gained()


async def first_told(attack: Attack) -> str:
    """What Mallory's first message came to."""
    return str(await attack.server.told(attack.mallory, attack.said[attack.mallory][0]))


async def _expire(attack: Attack, table: sa.Table) -> None:
    """Let Mallory's rows have run out of time."""
    async with attack.server.container.database().writing() as connection:
        await connection.execute(table.update().where(owned_by(table, attack.mallory)).values(expires_at=1.0))
