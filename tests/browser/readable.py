"""Faults that make a page hard to read or to reach in a browser, by WCAG 2.2, level AA."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page

_FAULTS = Path(__file__).with_name("faults.js").read_text()


async def faults(page: Page) -> list[str]:
    """Return each fault in words: contrast, size, width, labels, language, and visible focus."""
    found: list[str] = await page.evaluate(_FAULTS)
    return found


async def focus_on(page: Page, words: str) -> None:
    """Press Tab until the element with these words, or the field with this label, has the focus.

    Raises:
        AssertionError: The keyboard does not lead there.
    """
    for _ in range(12):
        await page.keyboard.press("Tab")
        if words in await page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText"):
            return
    raise AssertionError(f"the keyboard does not lead to {words}")
