"""Attacks on the way from a link in a chat to a grant: Mallory wants the victim's account in her own chat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.database.tables import consent_links, owned_by, quarantined_grants
from app.sandbox.visitor import code_on
from tests.attacks.stage import CALLBACK, EXCHANGE, REVOKE, Scene, accounts, scene_on, shown
from tests.fakes.consent import query
from tests.fakes.databases import Databases
from tests.fakes.deputy_server import world

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = "confirm 2222-2222"
TRIES = 5
PREVIEW_BOTS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23",
    "Mozilla/5.0 (compatible; SafeLinks)",
)


async def test_forwarded_link(scene: Scene) -> None:
    """Mallory sends the victim her own link and the victim consents: without the code it is a grant of nobody."""
    page = await scene.browser.allow(await scene.link(scene.mallory), scene.victims)
    chats = [await scene.ask(scene.mallory, f"confirm {scene.victims}"), await scene.ask(scene.mallory)]

    code = code_on(page)
    assert code is not None
    assert all(each in page.text for each in (scene.victims, scene.mallory.user, "Never give this code"))
    assert code not in str(chats)
    assert scene.victims not in str(chats)
    assert await scene.waiting(scene.mallory) == 1
    await scene.assert_nothing_gained()


async def test_raw_google_url_forwarded(scene: Scene) -> None:
    """Mallory opens her link herself and forwards Google's address: the victim's browser has no cookie, so it ends."""
    google_url = await scene.own_browser.open(await scene.link(scene.mallory))
    callback = await scene.browser.decide(google_url, scene.victims)
    page = await scene.browser.http.get(callback)

    assert page.status_code == 400
    assert scene.calls(EXCHANGE) == 0
    assert await scene.waiting(scene.mallory) == 0
    await scene.assert_nothing_gained()


async def test_callback_in_another_browser(scene: Scene) -> None:
    """Mallory gets hold of the address that Google sends the victim back to: in her browser it is worth nothing."""
    google_url = await scene.browser.open(await scene.link(scene.victim))
    await scene.own_browser.open(await scene.link(scene.mallory))  # so that she has a cookie, though another one
    callback = await scene.browser.decide(google_url, scene.victims)
    stolen = await scene.own_browser.http.get(callback)
    hers = await scene.browser.http.get(callback)

    assert (stolen.status_code, hers.status_code) == (400, 200)
    assert scene.calls(EXCHANGE) == 1
    await scene.ask(scene.victim, f"confirm {code_on(hers)}")
    assert await scene.account_of(scene.victim) == scene.victims
    await scene.note_bearer(scene.victim)
    await scene.assert_nothing_gained()


async def test_code_typed_in_another_chat(scene: Scene) -> None:
    """The victim types the code of Mallory's link in her own chat: it connects nothing, hers or Mallory's."""
    page = await scene.browser.allow(await scene.link(scene.mallory), scene.victims)
    told = await scene.ask(scene.victim, f"confirm {code_on(page)}")

    assert "No sign-in of yours" in told["answer"]
    assert await scene.account_of(scene.victim) is None
    await scene.assert_nothing_gained()


async def test_code_of_the_victims_own_sign_in(scene: Scene) -> None:
    """Mallory reads the victim's code over her shoulder: in Mallory's chat it is none, and it still is the victim's."""
    page = await scene.browser.allow(await scene.link(scene.victim), scene.victims)
    stolen = await scene.ask(scene.mallory, f"confirm {code_on(page)}")
    hers = await scene.ask(scene.victim, f"confirm {code_on(page)}")

    assert "No sign-in of yours" in stolen["answer"]
    assert "Connected" in hers["answer"]
    await scene.note_bearer(scene.victim)
    await scene.assert_nothing_gained()


async def test_replay(scene: Scene) -> None:
    """Mallory has the victim's link, callback, cookies and code from yesterday: all were used, so none works again."""
    link = await scene.link(scene.victim)
    callback = await scene.browser.decide(await scene.browser.open(link), scene.victims)
    cookies = dict(scene.browser.http.cookies)
    code = code_on(await scene.browser.http.get(callback))
    await scene.ask(scene.victim, f"confirm {code}")
    await scene.note_bearer(scene.victim)
    scene.own_browser.http.cookies.update(cookies)
    replayed = [
        await scene.own_browser.http.get(link),
        await scene.own_browser.http.post(link),
        await scene.own_browser.http.get(callback),
    ]
    told = await scene.ask(scene.mallory, f"confirm {code}")

    assert [each.status_code for each in replayed] == [410, 410, 400]
    assert scene.calls(EXCHANGE) == 1
    assert "No sign-in of yours" in told["answer"]
    await scene.assert_nothing_gained()
    await scene.assert_reads_her_mail()


@pytest.mark.asyncio(loop_scope="function")
async def test_six_concurrent_callbacks(tmp_path: Path, databases: Databases) -> None:
    """A callback is sent six times at once to get past a check: one is taken, Google is asked once, one code is out."""
    async with (
        world(tmp_path, databases, people=accounts()) as outside,
        outside.server() as server,
        scene_on(server) as scene,
    ):
        google_url = await scene.browser.open(await scene.link(scene.mallory))
        callback = await scene.browser.decide(google_url, scene.victims)
        pages = await asyncio.gather(*(scene.browser.http.get(callback) for _ in range(6)))

        assert sorted(page.status_code for page in pages) == [200, 400, 400, 400, 400, 400]
        assert sum(code_on(page) is not None for page in pages) == 1
        assert scene.calls(EXCHANGE) == 1
        assert await scene.waiting(scene.mallory) == 1
        await scene.assert_nothing_gained()


async def test_code_and_state_mixed_up(scene: Scene) -> None:
    """Mallory puts the code that Google gave the victim into her own callback: it belongs to another verifier."""
    victims_url = await scene.browser.open(await scene.link(scene.victim))
    mallorys_url = await scene.own_browser.open(await scene.link(scene.mallory))
    code = query(await scene.browser.decide(victims_url, scene.victims))["code"]
    injected = {"state": query(mallorys_url)["state"], "code": code}
    page = await scene.own_browser.http.get(f"{scene.server.base_url}{CALLBACK}", params=injected)

    assert page.status_code == 400
    assert scene.statuses(EXCHANGE) == [400]  # Google refused it
    assert await scene.waiting(scene.mallory) == 0
    await scene.assert_nothing_gained()


async def test_login_csrf(scene: Scene) -> None:
    """Mallory wants her account in the victim's chat, to read what is put there: no callback or code of hers counts."""
    hers = await scene.link(scene.victim)
    google_url = await scene.own_browser.open(await scene.link(scene.mallory))
    state = query(await scene.browser.open(hers))["state"]
    callback = await scene.own_browser.decide(google_url, scene.mallorys)
    lured = [
        await scene.browser.http.get(callback),
        await scene.browser.http.get(
            f"{scene.server.base_url}{CALLBACK}", params={"state": state, "code": query(callback)["code"]}
        ),
    ]
    page = await scene.own_browser.allow(await scene.link(scene.mallory, "connect google"), scene.mallorys)
    typed = await scene.ask(scene.victim, f"confirm {code_on(page)}")

    assert [each.status_code for each in lured] == [400, 400]
    assert "No sign-in of yours" in typed["answer"]
    assert (await scene.account_of(scene.victim), await scene.waiting(scene.victim)) == (None, 0)
    await scene.assert_nothing_gained()


async def test_form_on_mallorys_site(scene: Scene) -> None:
    """Mallory's site posts her link in the victim's browser, past the page that warns her: refused, and not used up."""
    link = await scene.link(scene.mallory)
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Origin": "https://mallory.example"}
        refused = await scene.browser.http.post(link, headers=headers)
        assert (refused.status_code, "location" in refused.headers, "set-cookie" in refused.headers) == (
            403, False, False,
        )  # fmt: skip

    assert (await scene.browser.http.get(link)).status_code == 200
    await scene.assert_nothing_gained()


async def test_framed_page(scene: Scene) -> None:
    """Mallory lays the link's page under a button of her own site: browsers do not show it in a frame."""
    page = await scene.browser.http.get(await scene.link(scene.mallory))

    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")


async def test_preview_bots(scene: Scene) -> None:
    """Bots fetch the victim's link before she does: they see no way to Google, and she can still open it."""
    link = await scene.link(scene.victim)
    seen = [
        await scene.own_browser.http.request(method, link, headers={"User-Agent": bot})
        for bot in PREVIEW_BOTS
        for method in ("GET", "HEAD")
    ]
    page = await scene.browser.allow(link, scene.victims)

    assert {each.status_code for each in seen} == {200}
    assert not any("set-cookie" in each.headers or "/o/oauth2/" in shown(each) for each in seen)
    assert code_on(page) is not None
    await scene.assert_nothing_gained()


async def test_preview_bot_at_the_callback(scene: Scene) -> None:
    """A bot fetches the victim's callback before her browser does: without her cookie it spends nothing."""
    callback = await scene.browser.decide(await scene.browser.open(await scene.link(scene.victim)), scene.victims)
    seen = [
        await scene.own_browser.http.request(method, address)
        for method in ("GET", "HEAD")
        for address in (callback, f"{callback}&error=access_denied")
    ]
    page = await scene.browser.http.get(callback)

    assert all(each.status_code >= 400 for each in seen)
    assert code_on(page) is not None
    await scene.assert_nothing_gained()


@pytest.mark.parametrize("when", ["before it is opened", "before the callback"])
async def test_expired_link(scene: Scene, when: str) -> None:
    """Mallory forwards a link whose ten minutes are over, or the victim takes too long: it yields nothing."""
    link = await scene.link(scene.mallory)
    opened = await scene.browser.open(link) if when == "before the callback" else None
    await _expire(scene, consent_links)
    page = await scene.browser.http.post(link)
    if opened is not None:
        page = await scene.browser.http.get(await scene.browser.decide(opened, scene.victims))

    assert page.status_code == (400 if opened else 410)
    assert scene.calls(EXCHANGE) == 0
    await scene.assert_nothing_gained()


async def test_expired_code(scene: Scene) -> None:
    """Mallory gets the code out of the victim after its ten minutes: it connects nothing, and Google is told."""
    page = await scene.browser.allow(await scene.link(scene.mallory), scene.victims)
    await _expire(scene, quarantined_grants)
    told = await scene.ask(scene.mallory, f"confirm {code_on(page)}")
    await scene.server.container.unconfirmed().sweep()

    assert "No sign-in of yours" in told["answer"]
    assert await scene.waiting(scene.mallory) == 0
    assert scene.calls(REVOKE) == 1
    await scene.assert_nothing_gained()


@pytest.mark.parametrize("when", ["before it is opened", "before the callback"])
async def test_superseded_link(scene: Scene, when: str) -> None:
    """Mallory forwards a link of which she was sent a newer one: opened or not, the older one yields nothing."""
    link = await scene.link(scene.mallory)
    opened = await scene.browser.open(link) if when == "before the callback" else None
    newer = await scene.link(scene.mallory, "connect google")
    page = await scene.browser.http.post(link)
    if opened is not None:
        page = await scene.browser.http.get(await scene.browser.decide(opened, scene.victims))

    assert newer != link
    assert page.status_code == (400 if opened else 410)
    assert scene.calls(EXCHANGE) == 0
    await scene.assert_nothing_gained()


async def test_brute_forced_code(scene: Scene) -> None:
    """Mallory tries codes for the victim's sign-in, many at once: after five it is gone, and the right one is late."""
    page = await scene.browser.allow(await scene.link(scene.mallory), scene.victims)
    guesses = await asyncio.gather(
        *(scene.ask(scene.mallory, WRONG, conversation=f"guess-{number}") for number in range(12))
    )
    counted = [each["answer"] for each in guesses if each["answer"].startswith("That is not the code")]
    late = await scene.ask(scene.mallory, f"confirm {code_on(page)}")

    assert len(counted) == TRIES
    assert "No sign-in of yours" in late["answer"]
    assert await scene.waiting(scene.mallory) == 0
    assert scene.calls(REVOKE) == 1
    await scene.assert_nothing_gained()


async def test_victim_who_refuses(scene: Scene) -> None:
    """The victim opens Mallory's link and says no at Google: nothing waits, and Mallory's chat learns no address."""
    google_url = await scene.browser.open(await scene.link(scene.mallory))
    page = await scene.browser.http.get(await scene.browser.decide(google_url, scene.victims, decision="deny"))
    told = await first_told(scene)

    assert page.status_code == 200
    assert "declined" in told
    assert scene.victims not in told
    await scene.assert_nothing_gained()


async def first_told(scene: Scene) -> str:
    """What Mallory's first message came to."""
    return str(await scene.server.told(scene.mallory, scene.said[scene.mallory][0]))


async def _expire(scene: Scene, table: sa.Table) -> None:
    """Let Mallory's rows have run out of time."""
    async with scene.server.container.database().writing() as connection:
        await connection.execute(table.update().where(owned_by(table, scene.mallory)).values(expires_at=1.0))
