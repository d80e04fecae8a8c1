"""The parts of replies that Meta has reported on, and those that it refused after it had taken them."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict

from interfaces.whatsapp.payload import Part, parts, text

log = logging.getLogger(__name__)

_KEPT = 10_000
_MARK = re.compile(r"([0-9a-f]{32}):(\d{1,4})")
_ARRIVED = ("sent", "delivered", "read", "played")


def mark(reply_id: str, number: int) -> str:
    """Return the mark of one part of a reply, which Meta repeats in what it reports on it."""
    return f"{reply_id}:{number}"


class Arrivals:
    """Remembers which parts of a reply arrived, so that none is sent twice after an unclear answer.

    Lives as long as the process and remembers the latest 10 000 parts, by ids of replies alone. Meta offers no way to
    look a sent message up, and its report may reach another process or come too late: then a part arrives twice.
    """

    def __init__(self) -> None:
        self._marks: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, mark: object) -> bool:
        return mark in self._marks

    def add(self, mark: str) -> None:
        """Remember a part."""
        self._marks[mark] = None
        if len(self._marks) > _KEPT:
            self._marks.popitem(last=False)

    def note(self, status: Part) -> None:
        """Remember what a status says: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status."""
        marked = text(status, "biz_opaque_callback_data")
        found = _MARK.fullmatch(marked)
        if found is None:
            return
        if text(status, "status") in _ARRIVED:
            self.add(marked)
        elif text(status, "status") == "failed":
            codes = [str(code) for error in parts(status, "errors") if isinstance(code := error.get("code"), int)]
            words = "reply %s: WhatsApp took it and did not deliver part %s: %s"
            log.error(words, found[1], found[2], ", ".join(codes) or "without a code")
