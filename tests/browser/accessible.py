"""Checks a page with axe-core, as the browser shows it."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

_SERIOUS = frozenset({"serious", "critical"})


async def violations(page: Page) -> list[str]:
    """Return each serious or critical violation, with the elements that it concerns."""
    results: dict[str, Any] = (await Axe().run(page)).response
    return [
        f"{page.url}: {found['id']} ({found['impact']}): {node['target']}"
        for found in results["violations"]
        if found["impact"] in _SERIOUS
        for node in found["nodes"]
    ]
