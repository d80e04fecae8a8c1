"""The messages of a person that have not ended."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages, owned_by
from app.messages import MessageState, StoredMessage

_UNFINISHED = (MessageState.NEW, MessageState.RUNNING, MessageState.PARKED)


class Unfinished:
    """Counts a person's messages that have not ended; lives as long as the process and holds none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def besides(self, message: StoredMessage) -> Counter[MessageState]:
        """Return how many other messages of the same person are in each state that is no end."""
        others = sa.and_(
            owned_by(messages, message.principal),
            messages.c.state.in_(_UNFINISHED),
            messages.c.id != message.message_id,
        )
        query = sa.select(messages.c.state, sa.func.count()).where(others).group_by(messages.c.state)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return Counter({MessageState(state): count for state, count in rows})
