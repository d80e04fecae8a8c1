"""The blue ticks, and the three dots while a message is answered.

https://developers.facebook.com/documentation/business-messaging/whatsapp/typing-indicators/
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from app.messages import StoredMessage
from interfaces.whatsapp.graph import GraphApi
from interfaces.whatsapp.numbers import Numbers

_DOTS_SECONDS = 20.0  # they vanish after 25 seconds
_KEPT = 10_000


class Receipts:
    """Marks messages as read and shows the dots. Lives as long as the process and remembers the latest 10 000 ids.

    Args:
        graph: Calls Meta.
        numbers: Opens sealed ids.
        now: A clock that only goes forward, in seconds.
    """

    def __init__(self, graph: GraphApi, numbers: Numbers, now: Callable[[], float] = time.monotonic) -> None:
        self._graph = graph
        self._numbers = numbers
        self._now = now
        self._shown_at: OrderedDict[str, float] = OrderedDict()

    async def show_dots(self, message: StoredMessage) -> None:
        """Mark a message as read and show the dots, unless they are still there.

        Raises:
            UnavailableError: Meta refuses it for now.
            UndeliverableError: Meta refuses it for good.
        """
        shown_at = self._shown_at.get(message.message_id)
        if shown_at is None or self._now() - shown_at >= _DOTS_SECONDS:
            await self._mark(message, {"typing_indicator": {"type": "text"}})

    async def mark_read(self, message: StoredMessage) -> None:
        """Mark a message as read, unless it is marked already.

        Raises:
            UnavailableError: Meta refuses it for now.
            UndeliverableError: Meta refuses it for good.
        """
        if message.message_id not in self._shown_at:
            await self._mark(message, {})

    async def _mark(self, message: StoredMessage, besides: dict[str, Any]) -> None:
        self._shown_at[message.message_id] = self._now()
        if len(self._shown_at) > _KEPT:
            self._shown_at.popitem(last=False)
        message_id = self._numbers.opened(message.address["message"], message.principal.user)
        await self._graph.send({"status": "read", "message_id": message_id, **besides})
