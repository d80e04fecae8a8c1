"""The playground in a real Chromium: two people in two browsers, from its page to their own mails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Error, Locator, Page, expect

from interfaces.playground.people import PLAYERS, Player
from tests.browser.accessible import violations
from tests.browser.people import NARROW
from tests.browser.readable import faults, focus_on
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, GRACE, PATIENCE_SECONDS, Server

pytestmark = pytest.mark.asyncio(loop_scope="package")

PATIENCE = PATIENCE_SECONDS * 1000  # milliseconds
IMAGES = Path(__file__).parents[2] / "docs" / "images"
QUESTION = "Show my 4 latest mails"
ISSUES = "Which issues are assigned to me?"


@dataclass
class Seat:
    """Somebody who plays one of the two people in their own browser, which shows both.

    Attributes:
        complaints: The messages and errors in their browser's console.
    """

    player: Player
    email: str
    page: Page
    complaints: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        """Note a message in the browser's console."""
        self.complaints.append(message.text)

    def note_error(self, error: Error) -> None:
        """Note an error of the page's script."""
        self.complaints.append(str(error))

    @property
    def chat(self) -> Locator:
        """Return their chat."""
        return self.page.locator(f"[data-player={self.player.key}]")

    @property
    def answer(self) -> Locator:
        """Return the latest answer in their chat."""
        return self.chat.locator(".theirs .text").last

    async def say(self, text: str) -> None:
        """Write in their chat."""
        await self.chat.get_by_label(f"Write as {self.player.name}", exact=True).fill(text)
        await self.chat.get_by_role("button", name=f"Send as {self.player.name}").click()

    async def sign_in(self, provider: str = "Google") -> Page:
        """Press the button that connects an account, and return the tab that it opens."""
        async with self.page.context.expect_page() as opened:
            await self.chat.get_by_role("link", name=f"Connect {provider}").last.click()
        tab = await opened.value
        await tab.get_by_role("button", name=f"Continue to {provider}").wait_for()
        return tab

    async def connect(self) -> None:
        """Complete the consent in that tab, and send the code that it shows."""
        tab = await self.sign_in()
        await tab.get_by_role("button", name="Continue to Google").click()
        await tab.get_by_label(self.email).check()
        await tab.get_by_role("button", name="Allow").click()
        code = await tab.locator(".code strong").inner_text()
        await tab.close()
        await self.say(f"confirm {code}")

    async def connect_github(self) -> list[str]:
        """Connect GitHub in two clicks, send the code, and return the faults of the consent page."""
        tab = await self.sign_in("GitHub")
        await tab.get_by_role("button", name="Continue to GitHub").click()
        allow = tab.get_by_role("button", name=f"Authorize as {self.player.key}")
        await allow.wait_for()
        found = await violations(tab)
        await allow.click()
        code = await tab.locator(".code strong").inner_text()
        await tab.close()
        await self.say(f"confirm {code}")
        return found

    def lane(self, player: Player) -> Locator:
        """Return the part of the page that shows this player's scopes."""
        return self.page.locator(f"[data-lane={player.key}]")

    async def keys(self, player: Player) -> set[str | None]:
        """Return the credentials of the calls shown in open scopes, once there is one."""
        shown = self.lane(player).locator("[data-scope] [data-credential]")
        await expect(shown).not_to_have_count(0, timeout=PATIENCE)
        return {await each.get_attribute("data-credential") for each in await shown.all()}


@pytest_asyncio.fixture(loop_scope="package", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server as `make run` starts it."""
    async with (
        open_environment(Path(tmp_path_factory.mktemp("playground")), marked=False, with_github=True) as environment,
        environment.server() as server,
    ):
        yield server


@pytest_asyncio.fixture(loop_scope="package")
async def seats(browser: Browser, server: Server) -> AsyncIterator[tuple[Seat, Seat]]:
    """Yield two browsers at the playground, one for Ada and one for Grace."""
    contexts = [await browser.new_context(viewport={"width": 1360, "height": 800}) for _ in PLAYERS]
    for context in contexts:
        context.set_default_timeout(PATIENCE)
    seats = []
    for context, player, email in zip(contexts, PLAYERS, (ADA, GRACE), strict=True):
        seat = Seat(player, email, await context.new_page())
        seat.page.on("console", seat.note)
        seat.page.on("pageerror", seat.note_error)
        await seat.page.goto(server.base_url)
        await seat.page.locator("html[data-watching]").wait_for()
        seats.append(seat)
    yield seats[0], seats[1]
    for context in contexts:
        await context.close()


def subjects(server: Server, email: str) -> list[str]:
    """Return the subjects of this person's mails in the inbox, newest first."""
    return [each.subject for each in server.google.mailbox(email) if "INBOX" in each.label_ids]


async def shoot(page: Page, name: str) -> None:
    """Take a picture for the docs if DEPUTY_SCREENSHOTS is set, as in `make screenshots`."""
    if os.environ.get("DEPUTY_SCREENSHOTS"):
        IMAGES.mkdir(exist_ok=True)
        await page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


async def test_two_browsers_lead_to_two_mailboxes(server: Server, seats: tuple[Seat, Seat]) -> None:
    """Two people at once connect their own accounts by the pages, and each is shown her own mails.

    Both browsers show two scopes at once, each with its own credentials, and afterwards none.
    """
    latest = {email: subjects(server, email)[:4] for email in (ADA, GRACE)}
    await asyncio.gather(*(seat.say(QUESTION) for seat in seats))
    for seat in seats:
        await expect(seat.answer).to_contain_text("I need your permission", timeout=PATIENCE)
    await shoot(seats[0].page, "playground-connect")
    await asyncio.gather(*(seat.connect() for seat in seats))
    for seat in seats:
        await expect(seat.answer).to_contain_text("4 messages", timeout=PATIENCE)
        await expect(seat.chat.locator("[data-account]")).to_contain_text(seat.email)
        assert await seat.answer.locator("strong").all_inner_texts() == latest[seat.email]
        for player in PLAYERS:
            await expect(seat.lane(player).locator("[data-scope]")).to_have_count(0, timeout=PATIENCE)

    await asyncio.gather(*(seat.say(QUESTION) for seat in seats))
    grants = [await server.container.grants().find(player.principal) for player in PLAYERS]
    expected = [{grant.grant_id[:8]} for grant in grants if grant]
    seen = await asyncio.gather(*(seat.keys(player) for seat in seats for player in PLAYERS))
    await shoot(seats[0].page, "playground")

    assert expected[0] != expected[1]
    assert seen == [*expected, *expected]
    for seat in seats:
        for player in PLAYERS:
            await expect(seat.lane(player).locator("[data-scope]")).to_have_count(0, timeout=PATIENCE)
            await expect(seat.lane(player).get_by_text("No scope is open")).to_be_visible()
            await expect(seat.lane(player).locator("[data-past] li").first).to_contain_text("calls with")
    assert [seat.complaints for seat in seats] == [[], []]


async def test_two_browsers_lead_to_two_github_accounts(seats: tuple[Seat, Seat]) -> None:
    """Two people at once connect their own GitHub accounts and are answered; `disconnect github` ends one of them."""
    await asyncio.gather(*(seat.chat.get_by_role("button", name=ISSUES).click() for seat in seats))
    for seat in seats:
        await expect(seat.answer).to_contain_text("I need your permission", timeout=PATIENCE)
    found = await asyncio.gather(*(seat.connect_github() for seat in seats))
    for seat, other in zip(seats, reversed(seats), strict=True):
        await expect(seat.answer).to_contain_text("3 issues", timeout=PATIENCE)
        await expect(seat.answer).to_contain_text(f"{seat.player.key}/notes#1")
        await expect(seat.answer).not_to_contain_text(f"{other.player.key}/notes")
        await expect(seat.chat.locator("[data-account]")).to_contain_text(f"GitHub: {seat.player.key}")
    await shoot(seats[0].page, "playground-github")
    ada, grace = seats
    await ada.say("disconnect github")
    await expect(ada.chat.locator("[data-account]")).not_to_contain_text("GitHub", timeout=PATIENCE)

    assert found == [[], []]
    await grace.say("connections")
    await expect(grace.answer).to_contain_text("Your GitHub accounts", timeout=PATIENCE)
    assert [seat.complaints for seat in seats] == [[], []]


async def test_only_ada_approves_adas_mail(server: Server, seats: tuple[Seat, Seat]) -> None:
    """Grace cannot approve Ada's mail with its code; it is sent only when Ada presses her own button."""
    ada, grace = seats
    for seat in seats:
        await server.connect(seat.player.principal, seat.email)
    await ada.say("send mail to grace@sandbox.example about Tea: Are you free at four?")
    await expect(ada.answer).to_contain_text("Send this mail?", timeout=PATIENCE)
    await shoot(ada.page, "playground-approval")
    code = (await ada.answer.locator("code").first.inner_text()).split()[1]
    await grace.say(f"approve {code}")
    await expect(grace.answer).to_contain_text("no pending approval", timeout=PATIENCE)

    assert "Tea" not in subjects(server, GRACE)
    await ada.chat.get_by_role("button", name="Approve").click()
    await expect(ada.answer).to_contain_text(f"Sent to {GRACE}", timeout=PATIENCE)
    assert subjects(server, GRACE)[0] == "Tea"


async def test_a_page_that_is_loaded_again_shows_the_conversation(seats: tuple[Seat, Seat]) -> None:
    """A page that is reloaded shows the person's conversation again, and nothing of the other person's."""
    ada, grace = seats
    await ada.say("help")
    await expect(ada.chat.locator("[data-log]")).not_to_have_attribute("aria-busy", "true", timeout=PATIENCE)
    told = await ada.answer.inner_text()
    await ada.page.reload()

    await expect(ada.answer).to_have_text(told, timeout=PATIENCE, use_inner_text=True)
    assert (await grace.chat.locator(".mine").all_inner_texts())[-1:] != ["help"]


async def test_what_waits_holds_no_connection(server: Server, seats: tuple[Seat, Seat]) -> None:
    """Even with more pending messages than a browser opens connections to a host (six), the next one is answered."""
    ada, grace = seats
    await server.connect(ada.player.principal, ADA)
    for number in range(7):
        await ada.say(f"send mail to {GRACE} about Tea {number}: At four?")
        await expect(ada.answer).to_contain_text(f"Tea {number}", timeout=PATIENCE)
    await ada.page.reload()
    await expect(ada.answer).to_contain_text("Tea 6", timeout=PATIENCE)
    await ada.say("stop")
    await expect(ada.answer).to_contain_text("topped", timeout=PATIENCE)

    assert "Tea" not in await grace.chat.inner_text()


async def test_what_a_mail_says_is_shown_as_text(server: Server, seats: tuple[Seat, Seat]) -> None:
    """Markup and scripts in a mail are shown as text: no element of the page results, and no script runs."""
    ada, grace = seats
    for seat in seats:
        await server.connect(seat.player.principal, seat.email)
    hostile = "<img src=x onerror='window.ran=true'> [press](javascript:window.ran=true)"
    await server.send_mail(
        grace.player.principal, f"To: {ADA}\r\nSubject: {hostile}\r\n\r\n<script>window.ran=true</script>"
    )
    await ada.say(QUESTION)
    await expect(ada.answer).to_contain_text("onerror", timeout=PATIENCE)

    assert await ada.page.evaluate("window.ran") is None
    assert await ada.answer.locator("img, script, a").count() == 0


async def look(seat: Seat, scheme: Literal["light", "dark"]) -> list[str]:
    """Return the faults of the page for this player, wide and narrow, while a question is pending."""
    page = seat.page
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await seat.say(f"send mail to {GRACE} about Tea: At four?")
    await expect(seat.answer).to_contain_text("Send this mail?", timeout=PATIENCE)
    found = await violations(page) + await faults(page)
    await page.set_viewport_size(NARROW)
    found += await violations(page) + await faults(page)
    await seat.say("stop")
    return found


async def test_everybody_can_use_the_page(server: Server, seats: tuple[Seat, Seat]) -> None:
    """Light and dark, wide and at 360 px, axe-core finds nothing serious, and all can be read and reached by key."""
    for seat in seats:
        await server.connect(seat.player.principal, seat.email)
    in_light, in_dark = await asyncio.gather(look(seats[0], "light"), look(seats[1], "dark"))

    assert (in_light, in_dark) == ([], [])
    await seats[0].page.locator("body").click(position={"x": 1, "y": 1})
    await focus_on(seats[0].page, QUESTION)


async def test_axe_finds_nothing_on_the_other_pages(server: Server, seats: tuple[Seat, Seat]) -> None:
    """axe-core finds nothing serious on the front page, a link's pages, the sandbox's consent page, or a used link."""
    ada, grace = seats
    found = []
    await grace.page.set_extra_http_headers({"X-Forwarded-For": "203.0.113.7"})
    await grace.page.goto(server.base_url)
    await expect(grace.page.locator("main")).to_contain_text("This server runs an assistant")
    found += await violations(grace.page)
    await ada.say("connect google")
    tab = await ada.sign_in()
    link = tab.url
    found += await violations(tab)
    await shoot(tab, "connect")
    await tab.get_by_role("button", name="Continue to Google").click()
    await tab.get_by_label(ADA).check()
    found += await violations(tab)
    await shoot(tab, "consent")
    await tab.get_by_role("button", name="Allow").click()
    await tab.locator("h1").wait_for()
    found += await violations(tab)
    await shoot(tab, "code")
    await grace.page.goto(link)
    found += await violations(grace.page)

    assert found == []
