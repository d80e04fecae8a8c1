"""Characters that a person does not see: left out of what a model reads, and spelled out where a person approves.

A model reads them, and tag characters or variation selectors can carry a whole message.
https://www.unicode.org/reports/tr36/#Deprecated_Tags, https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
"""

from __future__ import annotations

import re
import unicodedata

# Default-ignorable code points, and fillers that are drawn as nothing. Python calls most of them printable.
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2060-\u206f\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U00013430-\U0001343f\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_IS_UNSEEN = re.compile(f"[{_UNSEEN}]")
_NOT_ASCII = re.compile("[^ -~]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # half a surrogate pair can be sent to nobody
_CARRIER = re.compile("[\ufe00-\ufe0d\U000e0000-\U000e0fff]")
# These join letters in Persian and Hindi and the parts of an emoji, and choose how a symbol is drawn.
_JOINERS, _STYLES = "\u200c\u200d", "\ufe0e\ufe0f"
_REPLACED = re.compile(f"[{_JOINERS}{_STYLES}]|[{_UNSEEN}]++|{_CONTROL.pattern}", re.DOTALL)


def seen(text: str) -> str:
    """Return the text without what nobody sees, control characters as U+FFFD; lines and tabs stay."""
    return _REPLACED.sub(_seen, text.replace("\r\n", "\n"))


def normal_form(name: str) -> str:
    """Return a name as everybody who looks the same writes it: composed (NFC), without blanks around and unseen signs.

    https://www.unicode.org/reports/tr15/
    """
    return " ".join(unicodedata.normalize("NFC", _IS_UNSEEN.sub("", name)).split())


def carries_bytes(text: str) -> bool:
    """Return whether a text holds unseen characters that serve to carry a message to a program."""
    return bool(_CARRIER.search(text))


def spelled_out(text: str) -> str:
    r"""Return the text with everything that is not plainly seen as an escape, such as ``\u202e``; lines too."""
    return _NOT_ASCII.sub(_spelled_out, text)


def _spelled_out(match: re.Match[str]) -> str:
    character = match[0]
    is_plain = character.isprintable() and not _IS_UNSEEN.match(character)
    return character if is_plain else character.encode("unicode_escape").decode()


def _seen(match: re.Match[str]) -> str:
    found, before = match[0], match.string[max(0, match.start() - 1) : match.start()]
    if _CONTROL.match(found):
        return "\ufffd"
    kind = unicodedata.category(before) if before else ""
    if found in _STYLES and (kind in ("So", "Sm") or (before and before in "#*0123456789\u203c\u2049")):
        return found
    return found if found in _JOINERS and (kind in ("Lo", "Mn", "Mc", "So", "Sk") or before in _STYLES) else ""
