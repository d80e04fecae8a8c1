"""A newcomer's first minutes: from `git clone` to two people's mailboxes, in a real Chromium.

`.venv/bin/python -m benchmarks.newcomer` clones this repository into a temporary folder and runs `make run` there,
which sets up an environment. Then two people, each in their own browser context, open the playground, ask for their
mail, press Connect, allow the access on Google's page, send the code, and read. It prints the seconds after each step.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from interfaces.playground.people import PLAYERS, Player
from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[1]
_PAGE = re.compile(r"two people side by side: (\S+)")
_PATIENCE = 60.0  # seconds for one answer


def main() -> None:
    """Do all of this, and print how long it took."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "deputy"
        quiet = ("-c", "advice.detachedHead=false", "clone", "--quiet")
        subprocess.run(["git", *quiet, str(ROOT), str(clone)], check=True)
        config = (clone / "config.yaml").read_text().replace("8080", str(free_port()))
        (clone / "config.yaml").write_text(
            config.replace("  mode: sandbox ", "  sandbox: {port: 0}\n  mode: sandbox ").replace("8086", "0")
        )
        _tell(begin, "cloned")
        server = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            printed = _until_ready(server)
            _tell(begin, "set up and served")
            asyncio.run(_two_people(_page_of(printed)))
            _tell(begin, "two people have read their own mail")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.communicate()


async def _two_people(url: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        hers, theirs = await asyncio.gather(*(_walk(browser, url, player) for player in PLAYERS))
        assert hers != theirs
        await browser.close()


def _page_of(printed: str) -> str:
    found = _PAGE.search(printed)
    assert found is not None, printed
    return found[1]


def _until_ready(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    printed = ""
    for line in server.stdout:
        printed += line
        if "until the next start" in line:
            return printed
    raise AssertionError(printed)


async def _walk(browser: Browser, url: str, player: Player) -> str:
    """Connect one person's account from the page at `/`, and return the mail that they read."""
    context = await browser.new_context()
    context.set_default_timeout(_PATIENCE * 1000)
    page = await context.new_page()
    await page.goto(url)
    chat = page.locator(f"[data-player={player.key}]")
    await chat.get_by_label(f"Write as {player.name}", exact=True).fill("Show my 4 latest mails")
    await chat.get_by_role("button", name=f"Send as {player.name}").click()
    async with context.expect_page() as opened:
        await chat.get_by_role("link", name="Connect Google").last.click()
    tab = await opened.value
    await tab.get_by_role("button", name="Continue to Google").click()
    await tab.get_by_label(f"{player.key}@sandbox.example").check()
    await tab.get_by_role("button", name="Allow").click()
    code = await tab.locator(".code strong").inner_text()
    await chat.get_by_label(f"Write as {player.name}", exact=True).fill(f"confirm {code}")
    await chat.get_by_role("button", name=f"Send as {player.name}").click()
    mails = chat.locator(".theirs .text", has_text="4 messages").last
    await mails.wait_for()
    return await mails.inner_text()


def _tell(begin: float, step: str) -> None:
    print(f"{time.perf_counter() - begin:6.1f} s  {step}", flush=True)


if __name__ == "__main__":
    main()
