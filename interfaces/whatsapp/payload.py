"""The parts of a webhook, each looked up without trusting its shape.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidMessageError

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """The news of one webhook entry about one business number.

    Attributes:
        phone_number_id: The business number that it is about.
        own_number: That number itself, digits alone.
        contacts: The authors.
        messages: The messages of people, in order.
        statuses: How our own messages fared.
    """

    phone_number_id: str
    own_number: str
    contacts: tuple[Part, ...] = field(repr=False)
    messages: tuple[Part, ...] = field(repr=False)
    statuses: tuple[Part, ...] = field(repr=False)


def parse(body: bytes) -> Part:
    """Return the webhook.

    Raises:
        InvalidMessageError: The body is no JSON object.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidMessageError("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise InvalidMessageError("the body is not a JSON object")
    return payload


def changes(payload: Part) -> Iterator[Change]:
    """Yield every change of every entry; anything of another shape is passed over."""
    for entry in parts(payload, "entry"):
        for change in parts(entry, "changes"):
            value = part(change, "value")
            if change.get("field") == "messages":
                metadata = part(value, "metadata")
                yield Change(
                    text(metadata, "phone_number_id"),
                    "".join(filter(str.isdecimal, text(metadata, "display_phone_number"))),
                    tuple(parts(value, "contacts")),
                    tuple(parts(value, "messages")),
                    tuple(parts(value, "statuses")),
                )


def parts(holder: Part, key: str) -> list[Part]:
    """Return the objects of a list, without anything else in it."""
    items = holder.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def part(holder: Part, key: str) -> Part:
    """Return an object, or an empty one."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def text(holder: Part, key: str) -> str:
    """Return a text that can be stored: without NUL and halves of surrogate pairs; empty if missing."""
    found = holder.get(key)
    return found.replace("\x00", "").encode(errors="replace").decode() if isinstance(found, str) else ""
