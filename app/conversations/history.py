"""History: the turns of one person in one conversation. What somebody else said there is not part of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, repair_messages
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import owned_by, owner, turns
from app.principal import Principal


@dataclass(frozen=True, slots=True)
class History:
    """Earlier turns, oldest first.

    Attributes:
        private: One of them holds something out of the person's account, so what is said next may repeat it.
    """

    messages: list[ModelMessage] = field(repr=False)
    private: bool


class Conversations:
    """Stores the turns, always with their principal; lives as long as the process and holds no turn."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def load(self, principal: Principal, conversation: str, *, turns_at_most: int) -> History:
        """This person's latest turns in a conversation. A turn is taken whole, so no tool call loses its result."""
        query = (
            sa.select(turns.c.messages, turns.c.private)
            .where(owned_by(turns, principal), turns.c.conversation == conversation)
            .order_by(turns.c.sequence.desc())
            .limit(turns_at_most)
        )
        async with self._database.reading() as connection:
            rows = list(reversed((await connection.execute(query)).all()))
        loaded = [message for row in rows for message in ModelMessagesTypeAdapter.validate_json(row.messages)]
        # A run does the same to its history, and who counts on from its length must know what it does.
        return History(repair_messages(loaded), any(row.private for row in rows))

    async def append(
        self,
        connection: AsyncConnection,
        principal: Principal,
        conversation: str,
        sequence: int,
        turn: list[ModelMessage],
        *,
        private: bool,
    ) -> None:
        """Store the turn that answered the message with this sequence, in the caller's transaction."""
        await connection.execute(
            turns.insert().values(
                id=uuid.uuid4().hex,
                **owner(principal),
                conversation=conversation,
                sequence=sequence,
                messages=dump(turn),
                private=private,
                created_at=self._now(),
            )
        )


def dump(turn: list[ModelMessage]) -> str:
    """A turn as JSON text that `load` can read, also when a tool's result holds half of a surrogate pair."""
    values = ModelMessagesTypeAdapter.dump_python(turn, mode="json")
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode(errors="replace").decode()
