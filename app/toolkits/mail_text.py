"""The text of an HTML mail as a person reads it, and long texts in pages.

Written by hand, as mail is hostile: html.parser of Python 3.11, and so BeautifulSoup upon it, takes time with the
square of the length for some broken tags, 12 s for 50 kB of "<a a". Here the time grows with the length alone: a tag
or comment that does not end reaches to the end, as in https://html.spec.whatwg.org/multipage/parsing.html#tokenization.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

MAX_HTML = 300_000  # characters; Gmail itself clips what it shows at 102 kB
PAGE_LENGTH = 10_000  # characters
MAX_TARGET = 200  # characters of a link's target

_ATTRIBUTE = r"""([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?+"""
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_TAG_BEGIN = re.compile(r"</?[a-zA-Z]")
_TAG = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*+)((?:[\s/=]++|{_ATTRIBUTE})*+)>")
_FILLERS = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\ufeff"))  # what newsletters pad their preview with, unseen
_SPACES = re.compile(r"[ \t\r\n\f\xa0\u2007]++(?:[\u200c\u200d]++[ \t\r\n\f\xa0\u2007]++)*+")
_HUGE_NUMBER = re.compile(r"&#\d{8,}")  # int() refuses more than 4300 digits with an exception
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all"
    r"|(?:^|[;\s])(?:font-size|opacity|max-height|max-width)\s*:\s*\s*0++(?:\.0*+)?(?![\d.])",
    re.IGNORECASE,
)
_RAW = {  # elements without markup inside, with what ends them; none is shown
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
}
_UNSHOWN = frozenset({"template", "svg", "math", "object", "audio", "video", "canvas", "select", "datalist"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_ENDED_BY_THE_NEXT = frozenset({"p", "li", "td", "th", "tr", "dt", "dd", "option"})
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"})
_LINES = frozenset(
    {"address", "article", "aside", "br", "caption", "center", "dd", "div", "dt", "fieldset", "figcaption", "figure"}
    | {"footer", "form", "header", "li", "main", "nav", "section", "tbody", "tfoot", "thead", "tr"}
)


def html_to_text(source: str) -> str:
    """The text that the HTML shows; never raises, and takes time in proportion to the length.

    Scripts, styles and what is hidden are left out. A link's target follows its text in brackets. Blocks become
    lines, paragraphs are set off by one blank line. What is longer than `MAX_HTML` is cut.
    """
    page = _Page()
    source = source[:MAX_HTML]
    position = 0
    while (start := source.find("<", position)) >= 0:
        page.text(source[position:start])
        position = _markup(source, start, page)
    page.text(source[position:])
    return page.finished()


def pages(text: str) -> list[str]:
    """The text in pages of at most `PAGE_LENGTH` characters, cut between lines or words where there are any."""
    cut: list[str] = []
    start = 0
    while len(text) - start > PAGE_LENGTH:
        window = text[start : start + PAGE_LENGTH]
        end = max(window.rfind("\n"), window.rfind(" ", PAGE_LENGTH * 9 // 10)) + 1
        end = end if end > PAGE_LENGTH * 9 // 10 else PAGE_LENGTH
        cut.append(window[:end].rstrip())
        start += end
    return [*cut, text[start:]]


def _markup(source: str, start: int, page: _Page) -> int:
    """Handle what the ``<`` at `start` begins; the position after it. Markup without an end reaches to the end."""
    if source.startswith("<!--", start):
        return _after(source.find("-->", start + 4), 3, source)
    if source.startswith(("<!", "<?"), start):
        return _after(source.find(">", start), 1, source)
    if not _TAG_BEGIN.match(source, start):
        page.text("<")
        return start + 1
    tag = _TAG.match(source, start)
    if tag is None:
        return len(source)
    name = tag[2].lower()
    if tag[1]:
        page.end(name)
        return tag.end()
    if name in _RAW:
        raw_end = _RAW[name].search(source, tag.end())
        return raw_end.start() if raw_end else len(source)
    page.start(name, _attributes(tag[3]))
    return tag.end()


def _after(found: int, length: int, source: str) -> int:
    return found + length if found >= 0 else len(source)


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTES.findall(text):
        found.setdefault(name.lower(), _unescape(double or single or bare))
    return found


def _unescape(text: str) -> str:
    return html.unescape(_HUGE_NUMBER.sub("\ufffd", text))


class _Page:
    """What is shown so far. Lives for one conversion."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._hidden: tuple[str, int] | None = None  # the element that hides all in it, and how deep in its like we are
        self._link: tuple[str, list[str]] | None = None  # the target, and what was written since
        self._preformatted = 0

    def text(self, source: str) -> None:
        if not source or self._hidden:
            return
        shown = _unescape(source)
        if self._preformatted:
            first, *rest = shown.splitlines() or [""]
            self._write(first)
            for line in rest:
                self._new_line()
                self._write(line)
        else:
            shown = _SPACES.sub(" ", shown.translate(_FILLERS))
            at_start = not self._line or self._line[-1].endswith(" ")
            self._write(shown.lstrip(" ") if at_start else shown)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._hidden:
            element, depth = self._hidden
            if name != element:
                return
            if name not in _ENDED_BY_THE_NEXT:
                self._hidden = (element, depth + 1)
                return
            self._hidden = None
        if name not in _VOID and (name in _UNSHOWN or _is_hidden(attributes)):
            self._hidden = (name, 1)
            return
        self._break(name)
        if name == "pre":
            self._preformatted += 1
        elif name == "li":
            self._write("- ")
        elif name in ("td", "th"):
            self.text(" ")
        elif name == "img" and attributes.get("alt", "").strip() and not _is_hidden(attributes):
            self.text(f"[{attributes['alt']}]")
        elif name == "a":
            self._close_link()
            self._link = (_target(attributes.get("href", "")), [])

    def end(self, name: str) -> None:
        if self._hidden:
            element, depth = self._hidden
            if name == element:
                self._hidden = (element, depth - 1) if depth > 1 else None
            return
        if name == "a":
            self._close_link()
        elif name == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        self._break(name)

    def finished(self) -> str:
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


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    return "hidden" in attributes or bool(_HIDDEN_STYLE.search(attributes.get("style", "")))


def _target(reference: str) -> str:
    """What of a link's target is worth showing: an address, or a URL, a long one only as far as its host."""
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
