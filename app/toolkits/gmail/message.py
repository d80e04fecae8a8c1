"""Messages as the Gmail API gives them.

https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages#Message. Google documents the shape,
but what is in it comes from strangers, and a shape that is not as documented fails no reading: it reads as empty.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from app.toolkits.shapes import mapping, number, objects, text

SUMMARY_HEADERS = ("From", "To", "Subject")
MAX_SHOWN = 500  # characters of one header: a mail can name a thousand recipients
UNKNOWN_DATE = "unknown"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def labels(message: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of a message's labels."""
    found = message.get("labelIds")
    return frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list) else frozenset()


def header(message: Mapping[str, Any], name: str) -> str:
    """Return the text of a message's first header of this name, or an empty one."""
    return next(iter(headers(message, name)), "")


def headers(message: Mapping[str, Any], name: str) -> list[str]:
    """Return the texts of all of a message's headers of this name, in order."""
    named = objects(mapping(message, "payload"), "headers")
    return [text(each, "value") for each in named if text(each, "name").lower() == name.lower()]


def shown_header(message: Mapping[str, Any], name: str) -> str:
    """Return the text of a header, cut to a length that leaves room for the mail."""
    value = header(message, name)
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]} […]"


def received_at(message: Mapping[str, Any], zone: tzinfo = UTC) -> str:
    """Return when Gmail received the message, in RFC 3339 with a zone's offset.

    The sender can write anything into the ``Date`` header.

    Gmail takes some of these from the mail as well, so they can lie outside of any calendar: `UNKNOWN_DATE`.
    """
    milliseconds = number(message, "internalDate")
    if not milliseconds and str(message.get("internalDate")) != "0":
        return UNKNOWN_DATE
    try:
        at = (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone)
    except OverflowError:
        return UNKNOWN_DATE
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def snippet(message: Mapping[str, Any]) -> str:
    """Return the beginning of the message; Gmail escapes it as for HTML."""
    return html.unescape(text(message, "snippet")[:1000])
