"""A channel's notes about the reply that it is showing, so that another process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages, owned_by
from app.messages import MessageState, StoredMessage

_IS_OPEN = messages.c.state.in_([MessageState.NEW, MessageState.RUNNING])


class ChannelNotes:
    """Stores notes in the message's row; lives as long as the process and holds none.

    Only the channel reads them: ids of its platform, never a text.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_open(self, message: StoredMessage) -> bool:
        """Return whether this attempt is the message's latest, and the message has not ended."""
        query = sa.select(messages.c.id).where(*_is_attempt(message), _IS_OPEN)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).first() is not None

    async def keep(self, message: StoredMessage, notes: Mapping[str, Any] | None, *, while_open: bool) -> bool:
        """Replace the notes of a message. Return False if another attempt has taken it over.

        Args:
            message: The message, in the attempt that the notes are about.
            notes: JSON data; None for no notes.
            while_open: Also return False if the message has ended, or waits for its person.
        """
        change = messages.update().where(*_is_attempt(message)).values(notes=notes)
        if while_open:
            change = change.where(_IS_OPEN)
        async with self._database.writing() as connection:
            return (await connection.execute(change)).rowcount == 1


def _is_attempt(message: StoredMessage) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        owned_by(messages, message.principal),
        messages.c.id == message.message_id,
        messages.c.attempt == message.attempt,
    )
