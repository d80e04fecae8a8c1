"""People who each use a real Chromium and write to the assistant."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, ViewportSize, async_playwright

from tests.conftest import lacking
from tests.contract.channels import ChannelDriver, Sender
from tests.fakes.server import CONSENT_LINK, QUESTION

NAME = "deputy.test"
NARROW = ViewportSize(width=360, height=740)
_SWITCHES = (
    "--no-sandbox",  # required when it runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # all stays on loopback
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield the machine's own Chromium."""
    path = shutil.which("chromium")
    if path is None:
        lacking("Chromium", package="chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_SWITCHES)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def at(page: Page, sender: Sender, driver: ChannelDriver) -> AsyncIterator[Person]:
    """Yield a person who uses a browser; afterwards delete its cookies and close its other tabs."""
    person = Person(sender, driver, page)
    context = page.context
    context.on("request", person.note_request)
    context.on("console", person.note_complaint)
    yield person
    context.remove_listener("request", person.note_request)
    context.remove_listener("console", person.note_complaint)
    await context.clear_cookies()
    for tab in context.pages:
        if tab is not page:
            await tab.close()


@dataclass
class Person:
    """Somebody with a chat and a browser.

    Attributes:
        page: The page that they look at.
        asked: The requests of their browser, oldest first.
        complaints: The messages in its console.
    """

    sender: Sender
    driver: ChannelDriver
    page: Page
    asked: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        """Note a request of the browser."""
        self.asked.append(request)

    def note_complaint(self, message: ConsoleMessage) -> None:
        """Note a message in the browser's console."""
        self.complaints.append(message.text)

    def complained(self, words: str) -> bool:
        """Return whether the console has shown these words."""
        return any(words in complaint for complaint in self.complaints)

    async def say(self, text: str) -> str:
        """Write to the assistant, and return its answer."""
        (await self.driver.say(self.sender, text)).raise_for_status()
        return await self.driver.next(self.sender)

    async def link(self) -> str:
        """Ask for their mail, and return the consent link that they are sent."""
        link = CONSENT_LINK.search(await self.say(QUESTION))
        assert link is not None
        return link[0]

    async def go_to_google(self, link: str) -> None:
        """Open a link and press its button."""
        await self.page.goto(link)
        await self.page.get_by_role("button", name="Continue to Google").click()
        await self.page.get_by_text("Choose an account").wait_for()

    async def allow(self) -> None:
        """Choose their account on Google's page, and allow everything."""
        await self.page.get_by_label(self.sender.email).check()
        await self.page.get_by_role("button", name="Allow").click()

    async def code(self) -> str:
        """Return the code on the last page, once it is there."""
        return await self.page.locator(".code strong").inner_text()

    async def heading(self) -> str:
        """Return the heading of the current page."""
        return await self.page.locator("h1").inner_text()

    def sites(self) -> set[str | None]:
        """Return the hosts that their browser has sent requests to."""
        return {urlsplit(request.url).hostname for request in self.asked}

    async def answers(self) -> list[Response]:
        """Return the responses to the browser's requests; those that the browser itself refused have none."""
        return [answer for request in self.asked if (answer := await request.response()) is not None]

    async def referrers(self) -> list[str]:
        """Return the referrers that the browser has sent."""
        headers = [await request.all_headers() for request in self.asked]
        return [sent["referer"] for sent in headers if "referer" in sent]
