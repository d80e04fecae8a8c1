"""CSS, read as far as it decides what of a page can be seen.

https://drafts.csswg.org/css-syntax-3/. A braces-and-semicolons reading: comments and strings are recognised, escapes
are resolved, and a closing brace always ends its block, so that broken CSS hides no other rule. Takes time in
proportion to the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_VALUE = 500  # characters of one value; a longer one cannot be judged
QUOTED = "\ue000"  # stands before a character that was escaped or in a string, and so has no meaning of its own

_PIECE = re.compile(r"[^/\\\"'{};()]++|.", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})(?:\r\n|[ \t\r\n\f])?|(.))", re.DOTALL)
_STRING_STOPS = {quote: re.compile(rf"[{quote}\\\n\r\f]") for quote in "\"'"}
_URL = re.compile(r"url\s*+$", re.IGNORECASE)
_SPACES = re.compile(r"\s++")
_NAME_CHARACTER = re.compile(r"[\w-]")
_VENDOR = re.compile(r"-(?:webkit|moz|ms|o)-")
_GROUPS = ("@media", "@supports", "@layer", "@container", "@scope", "@document", "@starting-style")
_FEATURE = re.compile(r"\(\s*+([a-z-]++)\s*+(?::\s*+([^()]*+))?\)")
_PIXELS = re.compile(r"(\d{1,7}+)(?:\.\d*+)?(px|em|rem)?")
_WINDOW = 1000  # pixels wide: how a mail program on a desk shows a mail


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declaration: its property without a vendor's prefix, its value in lower case with single spaces."""

    property: str
    value: str
    important: bool


@dataclass(slots=True)
class Block:
    """A rule as it is written: the selector's text and its declarations.

    Attributes:
        nested: Whether it stands in another rule, so that its selector says only a part of what it applies to.
    """

    selector: str
    declarations: list[Declaration] = field(default_factory=list)
    nested: bool = False


@dataclass(slots=True)
class _Open:
    """A block that is not closed yet; `rule` is None in at-rules, whose rules apply or do not."""

    applies: bool
    rule: Block | None = None


def read_sheet(css: str) -> list[Block]:
    """Return the rules of a style sheet that apply on a screen, in order."""
    rules: list[Block] = []
    opened: list[_Open] = []
    pending: list[str] = []
    for piece in _pieces(css):
        if piece == "{":
            opened.append(_opening("".join(pending), opened[-1] if opened else None))
            pending.clear()
        elif piece in (";", "}"):
            current = opened[-1] if opened else None
            if current and current.rule:
                current.rule.declarations += _declared("".join(pending))
            pending.clear()
            if piece == "}" and opened:
                _close(opened, rules)
        else:
            pending.append(piece)
    if opened and (rule := opened[-1].rule):
        rule.declarations += _declared("".join(pending))
    while opened:  # the end of a sheet closes what is open
        _close(opened, rules)
    return rules


def read_declarations(css: str) -> list[Declaration]:
    """Return the declarations of a ``style`` attribute, in order."""
    found: list[Declaration] = []
    pending: list[str] = []
    for piece in _pieces(css):
        if piece in "{};":
            found += _declared("".join(pending))
            pending.clear()
        else:
            pending.append(piece)
    return [*found, *_declared("".join(pending))]


def media_applies(query: str) -> bool:
    """Return whether a media query holds on a wide screen; one that cannot be judged does."""
    alternatives = query.lower().split(",")
    return any(_alternative_applies(each) for each in alternatives)


def _alternative_applies(query: str) -> bool:
    words = query.split("(", 1)[0].split()
    if "not" in words:
        return True  # cannot be judged
    if any(word in ("print", "speech", "aural", "braille", "tty", "projection", "handheld") for word in words):
        return False
    return all(_feature_holds(name, value) for name, value in _FEATURE.findall(query))


def _feature_holds(name: str, value: str) -> bool:
    if name == "prefers-color-scheme":
        return "dark" not in value
    if name in ("min-width", "max-width", "min-device-width", "max-device-width") and (match := _PIXELS.match(value)):
        pixels = int(match[1]) * (16 if match[2] in ("em", "rem") else 1)
        return pixels <= _WINDOW if name.startswith("min") else pixels >= _WINDOW
    return True


def _opening(prelude: str, outer: _Open | None) -> _Open:
    text = prelude.replace("<!--", " ").replace("-->", " ").strip()
    applies = outer.applies if outer else True
    if not text.startswith("@"):
        inner = Block(text, nested=bool(outer and outer.rule))
        return _Open(applies, inner)
    name = text.split(None, 1)[0].split("(", 1)[0].lower()
    if name not in _GROUPS:
        return _Open(applies=False)  # @font-face, @keyframes and the like hold no rules
    if name == "@media":
        applies = applies and media_applies(text[len(name) :].replace(QUOTED, ""))
    # Declarations directly in a group that stands in a rule are that rule's.
    return _Open(applies, Block(outer.rule.selector, nested=True) if outer and outer.rule else None)


def _close(opened: list[_Open], rules: list[Block]) -> None:
    closed = opened.pop()
    if closed.applies and closed.rule and closed.rule.declarations:
        rules.append(closed.rule)


def _declared(text: str) -> Iterator[Declaration]:
    """Yield the declaration in a text, or nothing if it is not a declaration."""
    name, colon, value = text.partition(":")
    name = name.replace(QUOTED, "").strip().lower()
    if not colon or not name:
        return
    value = _SPACES.sub(" ", value.replace(QUOTED, "")).strip().lower()
    value, mark, importance = value.rpartition("!") if "!" in value else (value, "", "")
    important = bool(mark) and importance.strip() == "important"
    yield Declaration(name if name.startswith("--") else _VENDOR.sub("", name, count=1), value.strip(), important)


def _pieces(css: str) -> Iterator[str]:
    """Yield ``{``, ``}`` and ``;`` where they have a meaning, and the text between them."""
    position, depth, before = 0, 0, ""
    while position < len(css):
        match = _PIECE.match(css, position)
        assert match is not None
        piece, position = match[0], match.end()
        if piece == "/" and css.startswith("*", position):
            end = css.find("*/", position + 1)
            position, piece = (end + 2 if end >= 0 else len(css)), " "
        elif piece == "\\":
            piece, position = _escaped(css, position - 1)
        elif piece in "\"'":
            piece, position = _string(css, piece, position)
        elif piece == "(":
            if _URL.search(before[-20:]):
                end = css.find(")", position)
                position, piece = (end + 1 if end >= 0 else len(css)), "()"
            else:
                depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif piece in "{}":
            depth = 0
        elif piece == ";" and depth:
            piece = ","
        before = piece
        yield piece


def _escaped(css: str, position: int) -> tuple[str, int]:
    """Return the character that the escape at a position stands for, and the position after it."""
    match = _ESCAPE.match(css, position)
    if match is None:  # a backslash at the very end
        return "", len(css)
    if match[1] is None:
        return ("" if match[2] in "\r\n\f" else _quoted(match[2])), match.end()
    number = int(match[1], 16)
    return _quoted(chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"), match.end()


def _string(css: str, quote: str, position: int) -> tuple[str, int]:
    """Return a string that begins before the position, in quotes, and the position after it."""
    written = []
    while match := _STRING_STOPS[quote].search(css, position):
        written.append(css[position : match.start()])
        position = match.end()
        if match[0] != "\\":
            break
        character, position = _escaped(css, match.start())
        written.append(character.replace(QUOTED, ""))
    else:
        written.append(css[position:])
        position = len(css)
    return '"' + "".join(_quoted(each) for each in "".join(written)) + '"', position


def _quoted(character: str) -> str:
    return character if _NAME_CHARACTER.match(character) else QUOTED + character
