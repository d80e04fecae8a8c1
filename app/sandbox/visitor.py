"""A person at a browser: opens a consent link, allows or denies on the sandbox's consent page, and reads the code."""

from __future__ import annotations

import re
from collections.abc import Collection

import httpx2

_CODE = re.compile(r"confirm</span> <strong>(\w{8})</strong>")


async def visit(
    link: str, account: str, *, allow: bool = True, granted: Collection[str] | None = None, field: str = "email"
) -> httpx2.Response:
    """Go from a consent link to the last page, with fresh cookies, and return that page's response.

    Args:
        link: The link as it was sent to the person.
        account: The account that they choose.
        allow: Whether they press Allow.
        granted: The OAuth scopes that they leave ticked; None for all.
        field: The name of the account in the consent page's form.
    """
    async with httpx2.AsyncClient(timeout=30) as browser:
        shown = await browser.get(link)
        if shown.status_code != 200:
            return shown
        consent_page = await browser.post(link, follow_redirects=True)
        form: dict[str, str | list[str]] = {field: account, "decision": "allow" if allow else "deny"}
        if granted is not None:
            form["granted"] = ["", *granted]
        return await browser.post(str(consent_page.url), data=form, follow_redirects=True)


def code_on(last_page: httpx2.Response) -> str | None:
    """Return the code on the last page, to be sent in the chat; None if it shows none."""
    found = _CODE.search(last_page.text)
    return found[1] if found else None
