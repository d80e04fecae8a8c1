"""What is hard to read, or cannot be reached, on a page as the browser shows it; by WCAG 2.2, level AA."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page

_FAULTS = Path(__file__).with_name("faults.js").read_text()


async def faults(page: Page) -> list[str]:
    """Each fault in words: contrast, size, width, labels, language, and whether the focus is seen."""
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
