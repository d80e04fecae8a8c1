"""Pages in HTML; every value is escaped by the template engine."""

from __future__ import annotations

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

# The addresses of these pages hold secrets: they are kept by nobody, told to nobody and framed by nobody.
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    # No form-action: browsers hold it against the redirect to Google as well.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Who:
    """A person as a page shows them.

    Attributes:
        name: What they call themselves, or what the channel calls them.
        details: What nobody can choose, as anybody can take another one's name.
    """

    name: str
    details: str


def who(principal: Principal, channel: str, name: str | None) -> Who:
    """Return how this person is shown; the channel's id of them is never left out.

    Args:
        principal: The person.
        channel: The name of their channel.
        name: What the channel calls them, if it says.
    """
    if name is None:
        return Who(principal.user, f"{channel}, {principal.tenant}")
    return Who(name, f"{principal.user}, {channel}, {principal.tenant}")


def page(template: str, title: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """A page made of a template."""
    content = _templates().get_template(template).render(title=title, **values)
    return HTMLResponse(content, status, headers=_HEADERS)


def notice(title: str, text: str, *, status: int) -> HTMLResponse:
    """A page that says one thing."""
    return page("notice.html", title, status=status, text=text)


def from_our_page(request: Request) -> bool:
    """Return whether the person pressed our button: a form on another site would take them past what our page says.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header; `Origin` says nothing, as our pages send no referrer.
    A browser from before 2023 may not say it, and is let through.
    """
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def away(url: str) -> RedirectResponse:
    """The way to another site, which is told nothing of where it came from."""
    return RedirectResponse(url, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # imported with the first page that is shown

    loader = FileSystemLoader(_HERE / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
