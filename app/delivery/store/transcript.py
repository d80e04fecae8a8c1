"""A person's latest messages in one conversation, to be shown again."""

from __future__ import annotations

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages, owned_by
from app.delivery.store.queries import stored
from app.messages import StoredMessage
from app.principal import Principal


class Transcript:
    """Reads what a person wrote and was answered; lives as long as the process and holds nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, principal: Principal, conversation: str, *, at_most: int) -> list[StoredMessage]:
        """Return this person's latest messages of a conversation, oldest first."""
        mine = sa.and_(owned_by(messages, principal), messages.c.conversation == conversation)
        query = sa.select(messages).where(mine).order_by(messages.c.sequence.desc()).limit(at_most)
        async with self._database.reading() as connection:
            return [stored(row) for row in (await connection.execute(query)).all()][::-1]
