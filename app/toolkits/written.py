"""Text that goes out in the person's name, checked: addresses, single lines, and texts of several lines."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address

MAX_HEADER = 900  # characters of a line; RFC 5322 section 2.1.1 ends a line at 998
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# Read by hand: the parser of `email` repairs what it does not understand, and raises IndexError for "ada@".
_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]"
_ADDRESS = rf"{_LOCAL}++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++"
_RECIPIENT = re.compile(rf'\s*+(?:(?:"[^"]*+"\s*+|[^"<>@,;:]*+)<({_ADDRESS})>|({_ADDRESS}))\s*+(?:,|$)')
_RECIPIENTS = re.compile(rf"(?:{_RECIPIENT.pattern})++")
ANY_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_ADDRESS}")  # begins where a run does, else time grows with the square

_WRONG_ADDRESSES = "write e-mail addresses, separated by commas: ada@example.com, bob@example.com"


def addresses(text: str) -> str:
    """Return the bare addresses in a list such as ``Ada <ada@example.com>, bob@example.com``, separated by commas.

    Names are left out: a name can look like another address.

    Raises:
        ValueError: The list is empty, an address is malformed, or there is a line break or a group.
    """
    if not _RECIPIENTS.fullmatch(header_text(text)):
        raise ValueError(_WRONG_ADDRESSES)
    found = dict.fromkeys(named or bare for named, bare in _RECIPIENT.findall(text))
    try:
        return ", ".join(Address(addr_spec=address).addr_spec for address in found)
    except (ValueError, MessageError):  # two dots in a row, for example
        raise ValueError(_WRONG_ADDRESSES) from None


def header_text(text: str) -> str:
    """Return the text if it can be the value of a header.

    Raises:
        ValueError: It is too long, or holds a line break or another control character: what follows a line break
            would be a header of its own, a further recipient for example (RFC 5322 section 2.2).
    """
    if CONTROL.search(text) or len(text.splitlines()) > 1:
        raise ValueError("no line breaks or control characters, please: this goes into a header of the mail")
    if len(text) > MAX_HEADER:
        raise ValueError(f"at most {MAX_HEADER} characters, please")
    return text


def body_text(text: str) -> str:
    r"""Return the text with ``\n`` as its line breaks, if it can be the body of a mail.

    Raises:
        ValueError: It holds a control character, which no mail program shows.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROL_IN_TEXT.search(lines):
        raise ValueError("no control characters, please: nobody would see them")
    return lines


def one_line(text: str, at_most: int = MAX_HEADER) -> str:
    """Return the text if it is one line that says something.

    Raises:
        ValueError: It is empty or too long, or `header_text` refuses it.
    """
    if not text.strip():
        raise ValueError("this is empty: ask the person what it should be")
    if len(text) > at_most:
        raise ValueError(f"at most {at_most} characters, please")
    return header_text(text)


def long_text(text: str, at_most: int) -> str:
    """Return a text of several lines, which may be empty.

    Raises:
        ValueError: It is too long, or `body_text` refuses it.
    """
    if len(text) > at_most:
        raise ValueError(f"at most {at_most} characters, please")
    return body_text(text)


def some_text(text: str, at_most: int) -> str:
    """Return a text of several lines that says something.

    Raises:
        ValueError: It is empty, or `long_text` refuses it.
    """
    if not text.strip():
        raise ValueError("the text is empty: ask the person what to write")
    return long_text(text, at_most)


def few_addresses(text: str, at_most: int) -> str:
    """Return addresses, separated by commas.

    Raises:
        ValueError: There are too many, or `addresses` refuses them.
    """
    found = addresses(text)
    if (count := len(found.split(", "))) > at_most:
        raise ValueError(f"at most {at_most} people in one call, and these are {count}")
    return found
