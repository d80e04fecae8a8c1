"""The webhooks that the sandbox's WhatsApp sends when people write, and their signatures.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import httpx2

from app.sandbox.whatsapp.people import WhatsAppPerson, Windows

DISPLAY_NUMBER = "15550000000"  # the business's own
Payload = dict[str, Any]


class WhatsAppWebhooks:
    """Makes and sends the webhooks of one business number. Lives for the process.

    Args:
        app_secret: The Meta app's secret.
        phone_number_id: The business number's id.
        windows: Notes who wrote.

    Attributes:
        inbound: The ids of all messages of people.
    """

    def __init__(self, *, app_secret: str, phone_number_id: str, windows: Windows) -> None:
        self._app_secret = app_secret.encode()
        self._phone_number_id = phone_number_id
        self._windows = windows
        self._count = itertools.count(1)
        self.inbound: set[str] = set()

    def message(
        self,
        person: WhatsAppPerson,
        kind: str = "text",
        content: Mapping[str, Any] | None = None,
        *,
        body: str = "",
        message_id: str | None = None,
        group_id: str | None = None,
        forwarded: bool = False,
        at: float | None = None,
    ) -> Payload:
        """Return a message of a person, which also opens the 24 hours in which they can be answered.

        Args:
            person: The author.
            kind: Its type, such as ``text`` or ``image``.
            content: The object under its type; for a text, `body`.
            body: The words of a text; in a group, the business is mentioned in them.
            message_id: The message's id, which a repeated webhook repeats; a new one if None.
            group_id: The group that it was written in.
            forwarded: Whether they passed it on.
            at: When it was written, POSIX seconds; now if None.
        """
        at = self._windows.now() if at is None else at
        message_id = message_id or self.new_id(person)
        self.inbound.add(message_id)
        for recipient in (person.number, person.bsuid, group_id):
            if recipient is not None and (group_id is None or recipient == group_id):
                self._windows.open(recipient, at)
        return {
            **({"from": person.number} if person.number else {}),
            **({"from_user_id": person.bsuid} if person.bsuid else {}),
            **({"group_id": group_id} if group_id else {}),
            **({"context": {"forwarded": True}} if forwarded else {}),
            "id": message_id,
            "timestamp": str(int(at)),
            "type": kind,
            kind: {"body": f"@{DISPLAY_NUMBER} {body}" if group_id else body} if content is None else dict(content),
        }

    def pressed(self, person: WhatsAppPerson, button_id: str, title: str, *, kind: str = "button_reply") -> Payload:
        """Return the message of a person who pressed a button, or chose from a list (``list_reply``)."""
        return self.message(person, "interactive", {"type": kind, kind: {"id": button_id, "title": title}})

    def batch(self, *entries: tuple[list[WhatsAppPerson], list[Payload]]) -> Payload:
        """Return a webhook with an entry for each pair of people and messages."""
        return {
            "object": "whatsapp_business_account",
            "entry": [self._entry({"contacts": list(map(_contact, who)), "messages": what}) for who, what in entries],
        }

    def status(self, mark: str, status: str, *, code: int | None = None) -> Payload:
        """Return a webhook about one of the business's messages, with the mark that it was sent with."""
        errors = [{"code": code, "title": "refused"}] if code is not None else []
        value = {
            "id": "wamid.OUT",
            "status": status,
            "timestamp": "1",
            "biz_opaque_callback_data": mark,
            "errors": errors,
        }
        return {"object": "whatsapp_business_account", "entry": [self._entry({"statuses": [value]})]}

    def new_id(self, person: WhatsAppPerson) -> str:
        """Return a new message id, from which the person's number can be read, as from Meta's."""
        hidden = f"\\x1c\\x0b{person.number or person.bsuid}\\x15{next(self._count):016X}".encode()
        return f"wamid.{base64.b64encode(hidden).decode()}"

    def sign(self, body: bytes) -> dict[str, str]:
        """Return the header that shows that Meta sent this body."""
        return {"X-Hub-Signature-256": f"sha256={hmac.new(self._app_secret, body, sha256).hexdigest()}"}

    async def post(self, client: httpx2.AsyncClient, url: str, payload: object) -> httpx2.Response:
        """Send a webhook as Meta does."""
        body = json.dumps(payload).encode()
        return await client.post(url, content=body, headers={"Content-Type": "application/json", **self.sign(body)})

    def _entry(self, value: Payload) -> Payload:
        metadata = {"display_phone_number": DISPLAY_NUMBER, "phone_number_id": self._phone_number_id}
        whole = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        return {"id": "102290129340398", "time": int(time.time()), "changes": [{"field": "messages", "value": whole}]}


def _contact(person: WhatsAppPerson) -> Payload:
    return {
        "profile": {"name": person.name},
        **({"wa_id": person.number} if person.number else {}),
        **({"user_id": person.bsuid} if person.bsuid else {}),
    }
