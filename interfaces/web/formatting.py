"""Pages in HTML; every value is escaped by the template engine."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
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


def page(template: str, title: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """A page made of a template."""
    content = _TEMPLATES.get_template(template).render(title=title, **values)
    return HTMLResponse(content, status, headers=_HEADERS)


def notice(title: str, text: str, *, status: int) -> HTMLResponse:
    """A page that says one thing."""
    return page("notice.html", title, status=status, text=text)


def away(url: str) -> RedirectResponse:
    """The way to another site, which is told nothing of where it came from."""
    return RedirectResponse(url, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
