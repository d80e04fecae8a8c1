"""HTML cut into tags and text, in one pass.

Written by hand because mail is hostile: html.parser of Python 3.11, and so BeautifulSoup on top of it, takes time that
grows with the square of the length for some broken tags, 12 s for 50 kB of "<a a". Here the time grows with the length
alone: a tag or comment that does not end reaches to the end of the text, as in
https://html.spec.whatwg.org/multipage/parsing.html#tokenization.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ATTRIBUTE = r"""([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?+"""
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_TAG_BEGIN = re.compile(r"</?[a-zA-Z]")
_TAG = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*+)((?:[\s/=]++|{_ATTRIBUTE})*+)>")
_HUGE_NUMBER = re.compile(r"&#\d{8,}+")  # int() refuses more than 4300 digits with an exception
_RAW = {  # elements without markup inside, with the pattern of their end tag; none of them is shown
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
}


@dataclass(frozen=True, slots=True)
class Text:
    """Text between tags, its entities not resolved yet."""

    source: str


@dataclass(frozen=True, slots=True)
class StartTag:
    """A start tag; all names are in lower case, and entities in values are resolved."""

    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EndTag:
    """An end tag."""

    name: str


@dataclass(frozen=True, slots=True)
class StyleElement:
    """The content of a ``style`` element, and its ``media`` attribute."""

    css: str
    media: str


Token = Text | StartTag | EndTag | StyleElement


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of some HTML; never raises. Comments and the contents of scripts and the like are left out."""
    position = 0
    while (start := source.find("<", position)) >= 0:
        if start > position:
            yield Text(source[position:start])
        if source.startswith("<!--", start):
            position = _after(source.find("-->", start + 4), 3, source)
        elif source.startswith(("<!", "<?"), start):
            position = _after(source.find(">", start), 1, source)
        elif not _TAG_BEGIN.match(source, start):
            yield Text("<")
            position = start + 1
        else:
            tag = _TAG.match(source, start)
            if tag is None:
                return
            position = tag.end()
            name = tag[2].lower()
            if tag[1]:
                yield EndTag(name)
            elif name in _RAW:
                end = _RAW[name].search(source, position)
                content, position = source[position : end.start() if end else None], end.start() if end else len(source)
                if name == "style":
                    yield StyleElement(content, _attributes(tag[3]).get("media", ""))
            else:
                yield StartTag(name, _attributes(tag[3]))
    if position < len(source):
        yield Text(source[position:])


def names(text: str) -> frozenset[str]:
    """Return the names in a text, which stand between blanks."""
    return frozenset(text.split())


def unescape(text: str) -> str:
    """Resolve the entities in a text; numbers that are no character become U+FFFD."""
    return html.unescape(_HUGE_NUMBER.sub("\ufffd", text))


def _after(found: int, length: int, source: str) -> int:
    return found + length if found >= 0 else len(source)


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTES.finditer(text):
        name, double, single, bare = match.groups("")
        found.setdefault(name.lower(), unescape(double or single or bare))
    return found
