"""Text in lines: blocks become lines, paragraphs are set off by a blank line, a link's target follows its text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.toolkits.html_text.tokens import names

MAX_TARGET = 200  # characters of a link's target

_FILLERS = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\ufeff"))  # with these, newsletters pad their preview
_SPACES = re.compile(r"[ \t\r\n\f\xa0\u2007]++(?:[\u200c\u200d]++[ \t\r\n\f\xa0\u2007]++)*+")
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"})
_LINES = names(
    "address article aside br caption center dd details dialog div dt fieldset figcaption figure footer "
    "form header li main nav section summary tbody tfoot thead tr"
)


class Writer:
    """Writes what a page shows. Lives for one conversion."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._link: tuple[str, list[str]] | None = None  # the target, and the text written since
        self._preformatted = 0

    def text(self, shown: str) -> None:
        """Write text, its entities resolved."""
        if self._preformatted:
            first, *rest = shown.splitlines() or [""]
            self._write(first)
            for line in rest:
                self._new_line()
                self._write(line)
            return
        shown = _SPACES.sub(" ", shown.translate(_FILLERS))
        at_start = not self._line or self._line[-1].endswith(" ")
        self._write(shown.lstrip(" ") if at_start else shown)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element that is shown."""
        self._break(name)
        if name == "pre":
            self._preformatted += 1
        elif name == "li":
            self._write("- ")
        elif name in ("td", "th"):
            self.text(" ")
        elif name == "img" and attributes.get("alt", "").strip():
            self.text(f"[{attributes['alt']}]")
        elif name == "a":
            self._close_link()
            self._link = (_target(attributes.get("href", "")), [])

    def end(self, name: str, *, is_shown: bool) -> None:
        """End an element."""
        if not is_shown:
            return
        if name == "a":
            self._close_link()
        elif name == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        self._break(name)

    def finished(self) -> str:
        """Return all that was written."""
        self._close_link()
        self._new_line()
        return "\n".join(self._lines).strip("\n")

    def _write(self, text: str) -> None:
        if text:
            self._line.append(text)
            if self._link:
                self._link[1].append(text)

    def _break(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self._new_line()
            if self._lines and self._lines[-1]:
                self._lines.append("")
        elif name == "br" or (name in _LINES and self._line):
            self._new_line()

    def _new_line(self) -> None:
        line, self._line = "".join(self._line).rstrip(), []
        if line or (self._lines and self._lines[-1]):  # one blank line at most
            self._lines.append(line)

    def _close_link(self) -> None:
        if self._link is None:
            return
        (target, words), self._link = self._link, None
        label = "".join(words).strip()
        if target and label and label.rstrip("/") not in (target.rstrip("/"), target.partition("://")[2].rstrip("/")):
            self._write(f"({target})" if words[-1].endswith(" ") else f" ({target})")


def _target(reference: str) -> str:
    """Return what is worth showing of a link's target: an address, or a URL, a long one only as far as its host."""
    scheme, _, rest = reference.strip().partition(":")
    if scheme.lower() == "mailto":
        return rest.partition("?")[0]
    if scheme.lower() not in ("http", "https"):
        return ""
    url = "".join(reference.split())
    try:
        return url if len(url) <= MAX_TARGET else f"{scheme.lower()}://{urlsplit(url).hostname}/…"
    except ValueError:  # no host that could be one
        return ""
