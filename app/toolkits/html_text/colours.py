"""Colours in CSS and HTML, and whether text in one can be read on another.

https://www.w3.org/TR/css-color-3/
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass

LEAST_CONTRAST = 1.2  # of WCAG's 1 to 21; light grey #ddd on white has 1.36

_FUNCTION = re.compile(r"(rgba?|hsla?)\(([^()]{1,100}+)\)")
_HEX = re.compile(r"#([0-9a-f]{3,8})(?![\w-])")
_WORD = re.compile(r"(?<![\w.#(/-])[a-z]{3,20}+(?![\w(./-])")
_NUMBER = re.compile(r"([+-]?(?:\d{1,9}+(?:\.\d{1,9}+)?|\.\d{1,9}+))(%|deg|turn|rad|grad)?")
_NAMES = """
aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4 black
000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 chartreuse
7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 00ffff darkblue
00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9 darkkhaki bdb76b
darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a
darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f darkslategrey 2f4f4f darkturquoise 00ced1 darkviolet
9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey 696969 dodgerblue 1e90ff firebrick b22222
floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 goldenrod daa520
gray 808080 green 008000 greenyellow adff2f grey 808080 honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo
4b0082 ivory fffff0 khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue
add8e6 lightcoral f08080 lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightgrey
d3d3d3 lightpink ffb6c1 lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899
lightslategrey 778899 lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta
ff00ff maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db
mediumseagreen 3cb371 mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585
midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead navy 000080 oldlace fdf5e6
olive 808000 olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98
paleturquoise afeeee palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd
powderblue b0e0e6 purple 800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513
salmon fa8072 sandybrown f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue
6a5acd slategray 708090 slategrey 708090 snow fffafa springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080
thistle d8bfd8 tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow
ffff00 yellowgreen 9acd32 window ffffff canvas ffffff windowtext 000000 canvastext 000000
"""


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour: red, green, blue and alpha, each from 0 to 1."""

    red: float
    green: float
    blue: float
    alpha: float = 1.0

    def over(self, ground: Colour) -> Colour:
        """Return how it looks on an opaque ground."""
        rest = 1 - self.alpha
        return Colour(
            self.red * self.alpha + ground.red * rest,
            self.green * self.alpha + ground.green * rest,
            self.blue * self.alpha + ground.blue * rest,
        )


BLACK, WHITE, LINK = Colour(0, 0, 0), Colour(1, 1, 1), Colour(0, 0, 0.93)
TRANSPARENT = Colour(0, 0, 0, 0)


def _from_hex(digits: str) -> Colour | None:
    if len(digits) in (3, 4):
        digits = "".join(digit * 2 for digit in digits)
    if len(digits) not in (6, 8):
        return None
    return Colour(*(int(digits[index : index + 2], 16) / 255 for index in range(0, len(digits), 2)))


_WORDS = _NAMES.split()
_NAMED = {name: _from_hex(digits) for name, digits in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
_NAMED["transparent"] = TRANSPARENT


def read_colour(value: str) -> Colour | None:
    """Return the first colour that a CSS value in lower case names, or None."""
    found = [(match.start(), colour) for match, colour in _candidates(value) if colour]
    return min(found, key=lambda each: each[0])[1] if found else None


def read_attribute(value: str) -> Colour | None:
    """Return the colour of an HTML attribute such as ``bgcolor``, which may lack its ``#``."""
    text = value.strip().lower()
    return read_colour(text) or read_colour(f"#{text}")


def is_readable(text: Colour, ground: Colour) -> bool:
    """Return whether text of a colour stands out from an opaque ground."""
    one, other = sorted((_luminance(text.over(ground)), _luminance(ground)))
    return (other + 0.05) / (one + 0.05) >= LEAST_CONTRAST or _differs_in_hue(text.over(ground), ground)


def _differs_in_hue(one: Colour, other: Colour) -> bool:
    """Return whether two colours of the same lightness are still distinguishable, as red and green are."""
    return max(abs(one.red - other.red), abs(one.green - other.green), abs(one.blue - other.blue)) > 0.25


def _candidates(value: str) -> list[tuple[re.Match[str], Colour | None]]:
    return [
        *((match, _from_hex(match[1])) for match in _HEX.finditer(value)),
        *((match, _from_function(match[1], match[2])) for match in _FUNCTION.finditer(value)),
        *((match, _NAMED.get(match[0])) for match in _WORD.finditer(value)),
    ]


def _from_function(name: str, arguments: str) -> Colour | None:
    numbers = _NUMBER.findall(arguments)
    if len(numbers) not in (3, 4):
        return None
    alpha = _share(*numbers[3], whole=1) if len(numbers) == 4 else 1.0
    if name.startswith("rgb"):
        red, green, blue = (_share(*each, whole=255) for each in numbers[:3])
        return Colour(red, green, blue, alpha)
    turn = {"": 360, "deg": 360, "turn": 1, "rad": 6.283185, "grad": 400}.get(numbers[0][1], 360)
    hue = float(numbers[0][0]) / turn % 1
    saturation, lightness = (_share(each[0], "%", whole=1) for each in numbers[1:3])
    return Colour(*colorsys.hls_to_rgb(hue, lightness, saturation), alpha)


def _share(number: str, unit: str, *, whole: float) -> float:
    return min(1.0, max(0.0, float(number) / (100 if unit == "%" else whole)))


def _luminance(colour: Colour) -> float:
    """Return the relative luminance: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (colour.red, colour.green, colour.blue)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
