"""The elements of a page as they open and close, and the text that its reader sees."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.characters import carries_bytes
from app.toolkits.html_text.look import Look, look_of
from app.toolkits.html_text.selectors import Element
from app.toolkits.html_text.styles import Styles
from app.toolkits.html_text.tokens import names, unescape
from app.toolkits.html_text.writer import Writer

MAX_DEPTH = 256  # elements in one another; browsers stop at 512
_MAX_REOPENED = 8

_FILLER = re.compile("[\\s\u00ad\u034f\u200b-\u200f\ufeff]+")  # with these, newsletters pad their preview
_UNSHOWN = frozenset({"template", "svg", "math", "object", "canvas", "meter", "progress", "rp", "applet"})
_CONTROLS = frozenset({"audio", "video", "select", "datalist"})  # whose text no reader expects
_VOID = names("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
# https://html.spec.whatwg.org/multipage/parsing.html#formatting: these go on where a block ends before them.
_FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
_CLOSES_P = names(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer "
    "form h1 h2 h3 h4 h5 h6 header hgroup hr main menu nav ol p pre section summary table ul li dd dt"
)
_WALLS = names("table td th caption html body template object marquee applet button")
_TABLE_PARTS = names("table caption tbody thead tfoot tr td th")
_TABLE_WALLS = names("table html template")
_LISTS = frozenset({"ul", "ol", "dl", "menu", "dir"})
# For each start tag: the elements that it closes, and the ones that stop its search for them.
_ENDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset({"li"}), _WALLS | _LISTS),
    "dd": (frozenset({"dd", "dt"}), _WALLS | _LISTS),
    "dt": (frozenset({"dd", "dt"}), _WALLS | _LISTS),
    "td": (frozenset({"td", "th"}), _TABLE_WALLS),
    "th": (frozenset({"td", "th"}), _TABLE_WALLS),
    "tr": (frozenset({"tr", "caption"}), _TABLE_WALLS),
    **dict.fromkeys(
        ("tbody", "thead", "tfoot"),
        (frozenset({"tbody", "thead", "tfoot", "tr", "caption"}), _TABLE_WALLS),
    ),
    "option": (frozenset({"option"}), frozenset({"select", "datalist"})),
}


@dataclass(slots=True, eq=False)
class _Open:
    """An element that is open.

    Attributes:
        look: How its content looks.
        outside: How a ``summary`` in it looks, if it is closed ``details``; None after the first ``summary``.
        counts: Whether text that is hidden in it is worth a word.
    """

    element: Element
    look: Look
    outside: Look | None = None
    counts: bool = True
    declarations: Mapping[str, str] = field(default_factory=dict)


class Page:
    """The part of a page that was read so far. Lives for one conversion.

    Attributes:
        hid: Whether there was text that its reader does not see.
    """

    def __init__(self, styles: Styles) -> None:
        self.hid = False
        self._styles = styles
        self._writer = Writer()
        self._open: list[_Open] = []
        self._elements: list[Element] = []  # of what is open, for the selectors
        self._count: Counter[str] = Counter()
        self._beyond = 0  # elements open below `MAX_DEPTH`

    def text(self, source: str) -> None:
        """Take text between two tags."""
        shown = unescape(source)
        if carries_bytes(shown):
            self.hid = True
        if not self._beyond and self._look.shows_text:
            self._writer.text(shown)
        elif _FILLER.sub("", shown) and (not self._open or self._open[-1].counts):
            self.hid = True

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take a start tag."""
        if self._beyond or len(self._open) >= MAX_DEPTH:
            self._beyond += name not in _VOID
            return
        self._end_implied(name)
        opened = self._opened(name, attributes)
        if opened.look.shows_text or name == "br":
            self._writer.start(name, attributes)
        elif name == "img" and attributes.get("alt", "").strip():
            self.hid = True
        if name not in _VOID:
            self._push(opened)

    def end(self, name: str) -> None:
        """Take an end tag: all in its element ends, save formatting, which goes on after it."""
        if self._beyond:
            self._beyond -= name not in _VOID
            return
        if not self._count[name]:
            if name in ("p", "br"):  # stands for an empty paragraph
                self._writer.start(name, {})
            return
        if name in ("body", "html") or not self._is_in_scope(name):
            return
        if name in _FORMATTING:
            self._end_formatting(name)
            return
        reopened: list[_Open] = []
        while self._open:
            ended = self._pop()
            if ended.element.name == name:
                break
            if ended.element.name in _FORMATTING and name not in _WALLS and len(reopened) < _MAX_REOPENED:
                reopened.append(ended)
        for opened in reversed(reopened):
            self._push(self._restyled(opened))

    def finished(self) -> str:
        """Return the text."""
        return self._writer.finished()

    @property
    def _look(self) -> Look:
        return self._open[-1].look if self._open else Look()

    def _opened(self, name: str, attributes: Mapping[str, str]) -> _Open:
        described = Element.of(name, attributes)
        self._elements.append(described)
        declarations = self._styles.holding(self._elements)
        self._elements.pop()
        parent = self._open[-1] if self._open else None
        around = self._look
        if name == "summary" and parent and parent.outside:
            around, parent.outside = parent.outside, None
        look = look_of(name, declarations, around)
        outside = None
        if name in _UNSHOWN or name in _CONTROLS or "hidden" in attributes or "popover" in attributes:
            look = replace(look, gone=True)
        elif name in ("details", "dialog") and "open" not in attributes:
            outside, look = (look if name == "details" else None), replace(look, gone=True)
        counts = (not parent or parent.counts) and name not in _CONTROLS
        return _Open(described, look, outside, counts, declarations)

    def _restyled(self, opened: _Open) -> _Open:
        """Return an element that goes on elsewhere: what it declares holds there too."""
        look = look_of(opened.element.name, opened.declarations, self._look)
        if "hidden" in opened.element.attributes:
            look = replace(look, gone=True)
        return replace(opened, look=look)

    def _push(self, opened: _Open) -> None:
        self._open.append(opened)
        self._elements.append(opened.element)
        self._count[opened.element.name] += 1

    def _pop(self) -> _Open:
        opened = self._open.pop()
        self._elements.pop()
        self._count[opened.element.name] -= 1
        self._writer.end(opened.element.name, is_shown=opened.look.shows_text)
        return opened

    def _end_implied(self, name: str) -> None:
        """End what a start tag ends without an end tag: a paragraph before a block, a row before a row."""
        if name in _CLOSES_P and self._count["p"]:
            self._end_up_to(frozenset({"p"}), _WALLS)
        if name in _ENDS:
            self._end_up_to(*_ENDS[name])
        if name == "a" and self._count["a"]:
            self._end_formatting("a")

    def _is_in_scope(self, name: str) -> bool:
        """Return whether an end tag reaches its element: one in a cell ends nothing around its table."""
        walls = _TABLE_WALLS if name in _TABLE_PARTS else _WALLS
        for opened in reversed(self._open):
            if opened.element.name == name:
                return True
            if opened.element.name in walls:
                return False
        return False

    def _end_up_to(self, wanted: frozenset[str], walls: frozenset[str]) -> None:
        if not any(self._count[name] for name in wanted):
            return
        last = None
        for index in range(len(self._open) - 1, -1, -1):
            name = self._open[index].element.name
            if name in wanted:
                last = index
                if len(wanted) == 1:
                    break
            elif name in walls:
                break
        if last is None:
            return
        reopened: list[_Open] = []
        while len(self._open) > last:
            ended = self._pop()
            if ended.element.name in _FORMATTING and "p" in wanted and len(reopened) < _MAX_REOPENED:
                reopened.append(ended)
        for opened in reversed(reopened):
            self._push(self._restyled(opened))

    def _end_formatting(self, name: str) -> None:
        """End the innermost element of a name only; what is open in it stays open."""
        index = next(i for i in range(len(self._open) - 1, -1, -1) if self._open[i].element.name == name)
        inside = self._open[index + 1 :]
        for opened in inside:
            self._open.pop()
            self._elements.pop()
            self._count[opened.element.name] -= 1
        self._pop()
        for opened in inside:
            self._push(self._moved(opened))

    def _moved(self, opened: _Open) -> _Open:
        moved = self._restyled(opened)
        forced = opened.element.name in _UNSHOWN or opened.element.name in _CONTROLS
        closed = opened.element.name in ("details", "dialog") and "open" not in opened.element.attributes
        return replace(moved, look=replace(moved.look, gone=True)) if forced or closed else moved
