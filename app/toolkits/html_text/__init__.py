"""The text of an HTML mail as its reader sees it.

Written by hand: libraries for this are slow on hostile input, or show what is hidden. Scripts, styles and hidden text
are left out, and the result says whether text was hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.toolkits.html_text.effort import Effort, TooComplexError
from app.toolkits.html_text.page import Page
from app.toolkits.html_text.styles import Styles
from app.toolkits.html_text.tokens import EndTag, StartTag, StyleElement, Text, tokens

MAX_HTML = 300_000  # characters; Gmail itself clips what it shows at 102 kB
TOO_COMPLEX = "[The rest of this HTML is too complicated to be read here.]"

__all__ = ["MAX_HTML", "TOO_COMPLEX", "ShownText", "html_to_text"]


@dataclass(frozen=True, slots=True)
class ShownText:
    """The visible text of some HTML. An immutable value.

    Attributes:
        text: The text.
        hid: Whether there was text that its reader does not see, and that is left out here.
    """

    text: str = field(repr=False)
    hid: bool


def html_to_text(source: str) -> ShownText:
    """Return the text that some HTML shows; never raises, and takes time in proportion to the length.

    A link's target follows its text in brackets. Blocks become lines, paragraphs are set off by one blank line. Text
    longer than `MAX_HTML` is cut.
    """
    effort = Effort()
    read = list(tokens(source[:MAX_HTML]))
    try:
        page = Page(Styles((each for each in read if isinstance(each, StyleElement)), effort))
    except TooComplexError:
        return ShownText(TOO_COMPLEX, hid=True)
    try:
        for token in read:
            effort.spend(1)
            match token:
                case Text(text):
                    page.text(text)
                case StartTag(name, attributes):
                    page.start(name, attributes)
                case EndTag(name):
                    page.end(name)
    except TooComplexError:
        return ShownText(f"{page.finished()}\n{TOO_COMPLEX}", hid=True)
    return ShownText(page.finished(), page.hid)
