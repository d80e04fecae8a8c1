"""The first minutes of a newcomer: from `git clone` to two people's mailboxes, in a real Chromium.

`.venv/bin/python -m benchmarks.newcomer` clones this repository into a temporary folder and runs `make run` there, so
that an environment is set up. Then two people, each in their own browser context, ask for their mail, open the link,
allow the access on Google's page, confirm with the code, and read. It prints the seconds after each step.
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
from collections.abc import Sequence
from pathlib import Path

import httpx2
from playwright.async_api import Browser, async_playwright

from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[1]
_CURL = re.compile(r"^# (Ada|Grace)\ncurl -s (\S+) -H 'Authorization: Bearer (\S+)'", re.MULTILINE)
_PATIENCE = 60.0  # seconds for one answer


def main() -> None:
    """Walk the path and print how long it took."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "deputy"
        quiet = ("-c", "advice.detachedHead=false", "clone", "--quiet")
        subprocess.run(["git", *quiet, str(ROOT), str(clone)], check=True)
        config = (clone / "config.yaml").read_text().replace("8080", str(free_port()))
        (clone / "config.yaml").write_text(config.replace("  mode: sandbox ", "  sandbox: {port: 0}\n  mode: sandbox "))
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
            asyncio.run(_two_people(_CURL.findall(printed)))
            _tell(begin, "two people have read their own mail")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.communicate()


async def _two_people(lines: Sequence[tuple[str, str, str]]) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        hers, theirs = await asyncio.gather(*(_walk(browser, *line) for line in lines))
        assert hers != theirs
        await browser.close()


def _until_ready(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    printed = ""
    for line in server.stdout:
        printed += line
        if "until the next start" in line:
            return printed
    raise AssertionError(printed)


async def _walk(browser: Browser, name: str, url: str, token: str) -> str:
    """Return the mail of one person, after they have connected their account in a browser of their own."""
    page = await (await browser.new_context()).new_page()
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=_PATIENCE) as chat:
        asked = (await chat.post(url, json={"conversation": "main", "text": "show my unread mail"})).json()
        await page.goto(asked["consent_url"])
        await page.get_by_role("button", name="Continue to Google").click()
        await page.get_by_label(f"{name.lower()}@sandbox.example").check()
        await page.get_by_role("button", name="Allow").click()
        code = await page.locator(".code strong").inner_text()
        (await chat.post(url, json={"conversation": "main", "text": f"confirm {code}"})).raise_for_status()
        answered = await chat.get(f"{url}/{asked['message']}", params={"wait": 30})
    told: dict[str, str] = answered.raise_for_status().json()
    assert told["state"] == "done", told
    return told["answer"]


def _tell(begin: float, step: str) -> None:
    print(f"{time.perf_counter() - begin:6.1f} s  {step}", flush=True)


if __name__ == "__main__":
    main()
