"""Pages in HTML; every value is escaped by the template engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.principal import Principal

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
STATIC_FILES = _HERE / "static"

# The addresses of these pages contain secrets, so the pages must not be cached, referred to, framed or indexed.
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    # No form-action: browsers apply it to the redirect to Google as well.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Who:
    """A person as a page shows them.

    Attributes:
        name: Their display name, or their id if the channel gives no name.
        details: The parts that nobody can choose; anybody can use another person's name.
    """

    name: str
    details: str


def who(principal: Principal, channel: str, name: str | None) -> Who:
    """Return how to show this person; their id in the channel is always included.

    Args:
        principal: The person.
        channel: The name of their channel.
        name: Their display name in the channel, if known.
    """
    if name is None:
        return Who(principal.user, f"{channel}, {principal.tenant}")
    return Who(name, f"{principal.user}, {channel}, {principal.tenant}")


def page(
    template: str, title: str, *, status: int = 200, headers: Mapping[str, str] = PAGE_HEADERS, **values: object
) -> HTMLResponse:
    """Render a template as a page.

    Args:
        template: Its file.
        title: The page's title.
        status: The response's status.
        headers: The response's headers.
        values: The values for the template.
    """
    content = _templates().get_template(template).render(title=title, **values)
    return HTMLResponse(content, status, headers=headers)


def notice(title: str, text: str, *, status: int) -> HTMLResponse:
    """Render a page with a single text."""
    return page("notice.html", title, status=status, text=text)


def from_our_page(request: Request) -> bool:
    """Return whether the person pressed our button, rather than a form on another site that skips our page.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header; `Origin` is of no use because our pages send no
    referrer. Browsers from before 2023 may not send the header; they are let through.
    """
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def away(url: str) -> RedirectResponse:
    """Return a redirect to another site; no referrer is sent there."""
    return RedirectResponse(url, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # imported with the first page that is shown

    loader = FileSystemLoader(_HERE / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
