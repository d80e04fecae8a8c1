"""The 24 hours after a person's message in which they can be answered freely.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages#customer-service-windows
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages, owned_by
from app.principal import Principal

WINDOW_SECONDS = 24 * 3600.0
_MARGIN_SECONDS = 60.0


class Window:
    """Knows from the stored messages whether a person can be answered. Lives as long as the process.

    Meta may report a closed window only after it has taken a message, and the message is lost then. So we look first.

    Args:
        database: Holds the messages.
        now: The time, POSIX seconds.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def is_open(self, principal: Principal, conversation: str) -> bool:
        """Return whether this person wrote in a conversation within the last 24 hours."""
        latest = (
            sa.select(messages.c.address)
            .where(owned_by(messages, principal), messages.c.conversation == conversation)
            .order_by(messages.c.sequence.desc())
            .limit(1)
        )
        async with self._database.reading() as connection:
            address = (await connection.execute(latest)).scalar_one_or_none()
        written_at = (address or {}).get("at") or 0
        return self._now() - float(written_at) < WINDOW_SECONDS - _MARGIN_SECONDS
