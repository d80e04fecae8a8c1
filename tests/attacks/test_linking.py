"""Attacks between a link in a chat and a grant: Mallory wants to use the victim's account in her own chat."""

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
    """If the victim consents by a link that Mallory forwarded, Mallory gets no grant without the code."""
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
    """If Mallory opens her link and forwards Google's address, the victim's browser lacks the cookie and is refused."""
    google_url = await attack.own_browser.open(await attack.link(attack.mallory))
    callback = await attack.browser.decide(google_url, attack.victims)
    page = await attack.browser.http.get(callback)

    assert page.status_code == 400
    assert attack.calls(EXCHANGE) == 0
    assert await attack.waiting(attack.mallory) == 0
    await attack.assert_nothing_gained()


async def test_callback_in_another_browser(attack: Attack) -> None:
    """The address to which Google sends the victim back does not work in Mallory's browser."""
    google_url = await attack.browser.open(await attack.link(attack.victim))
    await attack.own_browser.open(await attack.link(attack.mallory))  # so that she has a cookie, but of another link
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
    """If the victim sends the code of Mallory's link in her own chat, nothing is connected for either of them."""
    page = await attack.browser.allow(await attack.link(attack.mallory), attack.victims)
    told = await attack.ask(attack.victim, f"confirm {code_on(page)}")

    assert "I don't know this code" in told["answer"]
    assert await attack.account_of(attack.victim) is None
    await attack.assert_nothing_gained()


async def test_code_of_the_victims_own_sign_in(attack: Attack) -> None:
    """The victim's code does not work in Mallory's chat, and still works in the victim's."""
    page = await attack.browser.allow(await attack.link(attack.victim), attack.victims)
    stolen = await attack.ask(attack.mallory, f"confirm {code_on(page)}")
    hers = await attack.ask(attack.victim, f"confirm {code_on(page)}")

    assert "I don't know this code" in stolen["answer"]
    assert "Connected" in hers["answer"]
    await attack.note_bearer(attack.victim)
    await attack.assert_nothing_gained()


async def test_replay(attack: Attack) -> None:
    """Used up links, callbacks, cookies and codes of the victim give Mallory nothing."""
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
    """Of six concurrent callbacks one is taken, so that Google is asked once and there is one code."""
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
    """A code that Google gave the victim fails in Mallory's callback, because it belongs to another PKCE verifier."""
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
    """Mallory cannot connect her own account in the victim's chat with any of her callbacks or codes."""
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
    """Another site's form that posts Mallory's link in the victim's browser is refused, and does not use it up."""
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
    """A link's page forbids browsers to show it in a frame, so that Mallory cannot hide it under her own button."""
    page = await attack.browser.http.get(await attack.link(attack.mallory))

    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")


async def test_preview_bots(attack: Attack) -> None:
    """Bots that fetch the victim's link before she does see no way to Google, and she can still open it."""
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
    """A bot that fetches the victim's callback first is refused for lack of her cookie, and does not use it up."""
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
    """An expired link connects nothing, whether it expires before it is opened or before the callback."""
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
    """An expired code connects nothing, and the grant is revoked at Google."""
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
    """A link that was replaced by a newer one connects nothing, whether it was opened before or not."""
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
    """After five wrong codes, even concurrent ones, the sign-in is deleted and the right code no longer works."""
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
    """If the victim refuses at Google, nothing is connected, and Mallory's chat does not show her address."""
    google_url = await attack.browser.open(await attack.link(attack.mallory))
    page = await attack.browser.http.get(await attack.browser.decide(google_url, attack.victims, decision="deny"))
    told = await first_told(attack)

    assert page.status_code == 200
    assert "You did not connect" in told
    assert attack.victims not in told
    await attack.assert_nothing_gained()


async def first_told(attack: Attack) -> str:
    """Return the status of Mallory's first message."""
    return str(await attack.server.told(attack.mallory, attack.said[attack.mallory][0]))


async def _expire(attack: Attack, table: sa.Table) -> None:
    """Expire Mallory's rows in this table."""
    async with attack.server.container.database().writing() as connection:
        await connection.execute(table.update().where(owned_by(table, attack.mallory)).values(expires_at=1.0))
