"""How an element looks: whether a reader sees the text in it.

Judged as a mail program on a desk shows a mail whose pictures are not loaded. Where a declaration cannot be judged, the
text counts as hidden: the result says that some was, and its reader can look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from app.toolkits.html_text.colours import BLACK, WHITE, Colour, is_readable, read_colour
from app.toolkits.html_text.css import MAX_VALUE, Declaration

SMALLEST = 5.0  # pixels of type; what is smaller nobody reads
LEAST_OPACITY = 0.1
FAR = 300.0  # pixels; what is moved so far to the left or up is off the page
FAR_OUT = 2000.0  # pixels to the right or down
_THIN = 2.0  # pixels of a box in which no text can be seen

_NUMBER = re.compile(r"([+-]?(?:\d{1,15}+(?:\.\d{0,15}+)?|\.\d{1,15}+)(?:e[+-]?\d{1,3}+)?)([a-z%]*+)")
_FUNCTION = re.compile(r"([a-z0-9]++)\(([^()]*+)\)")
_VARIABLE = re.compile(r"var\(\s*+(--[^\s,()]++)\s*+(?:,([^()]*+))?\)")
_UNITS = {"px": 1, "pt": 4 / 3, "pc": 16, "in": 96, "cm": 37.8, "mm": 3.78, "q": 0.945, "rem": 16, "vw": 10, "vh": 7}
_UNITS |= {"vmin": 7, "vmax": 10}
_SIZES = {"xx-small": 9, "x-small": 10, "small": 13, "medium": 16, "large": 18, "x-large": 24, "xx-large": 32}
_TABLE_PARTS = frozenset({"table", "tbody", "thead", "tfoot", "tr", "td", "th", "col", "colgroup", "img", "br", "hr"})
_MOVES = ("left", "right", "top", "bottom", "inset", "margin", "text-indent")
_UNJUDGED = ("calc(", "min(", "max(", "clamp(", "env(", "var(", "attr(")


@dataclass(frozen=True, slots=True)
class Look:
    """The part of an element's look that its content inherits. An immutable value.

    Attributes:
        gone: Nothing in it is visible, and its content cannot change that.
        visible: CSS's ``visibility``, which its content can change.
        size: Of the type, in pixels.
        colour: Of the text.
        ground: Behind it, opaque.
        opacity: Its own times that of all around it.
    """

    gone: bool = False
    visible: bool = True
    size: float = 16.0
    colour: Colour = BLACK
    ground: Colour = WHITE
    opacity: float = 1.0

    @property
    def shows_text(self) -> bool:
        """Whether a reader sees text in it."""
        return (
            not self.gone
            and self.visible
            and self.size >= SMALLEST
            and self.opacity >= LEAST_OPACITY
            and is_readable(self.colour, self.ground)
        )


def look_of(tag: str, declarations: Mapping[str, str], around: Look) -> Look:
    """Return the look of an element.

    Args:
        tag: Its name.
        declarations: The declarations that apply to it, by property; shorthands are spelled out by `settled`.
        around: The look of the element that it is in.
    """
    if not declarations:
        return around
    size = _size(declarations.get("font-size", ""), around.size)
    ground = around.ground
    if painted := read_colour(declarations.get("background-color", "")):
        ground = painted.over(ground)
    colour = around.colour
    for name in ("color", "text-fill-color"):
        colour = read_colour(declarations.get(name, "")) or colour
    visibility = declarations.get("visibility")
    return replace(
        around,
        gone=around.gone or _is_gone(tag, declarations, size),
        visible=around.visible if visibility in (None, "inherit") else visibility not in ("hidden", "collapse"),
        size=size,
        colour=colour,
        ground=ground,
        opacity=around.opacity * _opacity(declarations.get("opacity", "")),
    )


def settled(declarations: Iterable[Declaration], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the values that hold, by property, the later of two winning; shorthands are spelled out."""
    held: dict[str, str] = {}
    for declaration in declarations:
        value = _substituted(declaration.value, variables)
        if declaration.property == "font":
            held["font-size"] = _font_size(value)
        elif declaration.property in ("background", "background-color", "background-image"):
            if read_colour(value):
                held["background-color"] = value
        elif declaration.property in ("overflow-x", "overflow-y"):
            held["overflow"] = value
        else:
            held[declaration.property] = value
    return held


def hides(declaration: Declaration) -> bool:
    """Return whether a declaration hides text regardless of all others."""
    look = look_of("div", settled([declaration], {}), Look())
    return look.gone or not look.visible or look.size < SMALLEST or look.opacity < LEAST_OPACITY


def _substituted(value: str, variables: Mapping[str, str]) -> str:
    """Put in the values of custom properties, which may name others, a few deep."""
    for _ in range(4):
        if "var(" not in value or len(value) > MAX_VALUE:
            break
        value = _VARIABLE.sub(lambda match: variables.get(match[1], match[2] or "")[:MAX_VALUE], value)
    return value


def _is_gone(tag: str, held: Mapping[str, str], size: float) -> bool:
    display = held.get("display", "")
    if display == "none" or held.get("mso-hide", "") == "all":
        return True
    if held.get("content-visibility", "") == "hidden":
        return True
    if any(len(value) > MAX_VALUE for name, value in held.items() if name not in ("font-family", "background-color")):
        return True
    return (
        _is_flat(held, size, is_box=not display.startswith("table") if display else tag not in _TABLE_PARTS)
        or _is_away(held, size)
        or _is_clipped(held)
        or _is_transformed_away(held, size)
    )


def _is_flat(held: Mapping[str, str], size: float, *, is_box: bool) -> bool:
    """Return whether the box has no room for text; parts of a table grow with what is in them."""
    sides = ("height", "width", "max-height", "max-width") if is_box else ()
    if any(_is_thin(held.get(side, ""), size) for side in sides):
        return True
    clips = held.get("overflow", "") not in ("", "visible", "initial", "inherit", "unset")
    return clips and _is_thin(held.get("line-height", ""), size, of=size)


def _is_thin(value: str, size: float, of: float = 1000.0) -> bool:
    match = _NUMBER.fullmatch(value)
    if match is None:
        return False
    if not match[2] and of == size:  # a line height without a unit counts in the size of the type
        return float(match[1]) * size <= _THIN
    length = _length(value, size, of)
    return length is not None and length <= _THIN


def _is_away(held: Mapping[str, str], size: float) -> bool:
    """Return whether the box or its text is moved off the page, or its letters onto one another."""
    if held.get("z-index", "").startswith("-"):
        return True
    if any(each <= -0.4 * max(size, 1) for each in _lengths(held.get("letter-spacing", ""), size)):
        return True
    # Only what is positioned is moved by left and top, but no mail names these for anything else.
    moves = (each for name, value in held.items() if name.startswith(_MOVES) for each in _lengths(value, size))
    return any(each <= -FAR or each >= FAR_OUT for each in moves)


def _is_clipped(held: Mapping[str, str]) -> bool:
    """Return whether a part is cut out; no mail program keeps this, so it is there to hide."""
    plain = ("", "none", "auto", "initial", "unset", "inherit", "border-box")
    if any(held.get(name, "") not in plain for name in ("clip", "clip-path", "mask", "mask-image")):
        return True
    words = ("opacity", "blur", "contrast", "brightness")
    return any(word in held.get("filter", "") for word in words)


def _is_transformed_away(held: Mapping[str, str], size: float) -> bool:
    zoom = _NUMBER.fullmatch(held.get("zoom", ""))
    if zoom and float(zoom[1]) < (10 if zoom[2] else 0.1):
        return True
    calls = _FUNCTION.findall(held.get("transform", ""))
    calls += [(name, held[name]) for name in ("scale", "translate", "rotate") if name in held]
    for name, arguments in calls:
        numbers = [float(number) for number, _ in _NUMBER.findall(arguments)]
        if name.startswith("scale") and any(abs(number) < 0.1 for number in numbers):
            return True
        if name.startswith("translate") and any(abs(each) >= FAR for each in _lengths(arguments, size)):
            return True
        if name.startswith("rotate") and name != "rotatez" and any(abs(n) % 180 == 90 for n in numbers):
            return name != "rotate" or " " in arguments.strip()  # rotate(90deg) alone turns it in its plane
        if name.startswith(("matrix", "perspective", "skew")):
            return True
    return False


def _lengths(value: str, size: float) -> list[float]:
    found = (_length("".join(match), size) for match in _NUMBER.findall(value))
    return [length for length in found if length is not None]


def _length(value: str, size: float, of: float = 1000.0) -> float | None:
    """Return a length in pixels; a percentage is one of the page's width, unless `of` says of what."""
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    number, unit = float(match[1]), match[2]
    if unit == "%":
        return number / 100 * of
    if unit in ("em", "ex", "ch", "lh", "ic"):
        return number * size * (1 if unit == "em" else 0.5)
    return number * _UNITS.get(unit, 1)


def _size(value: str, around: float) -> float:
    if value in _SIZES:
        return _SIZES[value]
    if value in ("smaller", "larger"):
        return around * (0.8333 if value == "smaller" else 1.2)
    if any(name in value for name in _UNJUDGED):
        return 0.0
    length = _length(value, around, of=around)
    return around if length is None or length < 0 else length


def _font_size(value: str) -> str:
    """Return the size in the shorthand ``font``: the first length that is no weight."""
    for match in _NUMBER.finditer(value):
        if match[2] or float(match[1]) == 0:
            return match[0]
    return ""


def _opacity(value: str) -> float:
    if any(name in value for name in _UNJUDGED):
        return 0.0
    match = _NUMBER.fullmatch(value)
    if match is None:
        return 1.0
    return min(1.0, max(0.0, float(match[1]) / (100 if match[2] == "%" else 1)))
