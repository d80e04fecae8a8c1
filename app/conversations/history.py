"""History: the turns of one person in one conversation, without anything that others said there."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from pydantic import ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    UserPromptPart,
    repair_messages,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.prepared import Prepared
from app.database.tables import owned_by, owner, turns
from app.principal import Principal

log = logging.getLogger(__name__)

HISTORY_CHARACTERS = 200_000  # of the turns as they are stored: about 50 000 tokens

# Made once, as every message costs them.
_LATEST = Prepared(
    sa.select(turns.c.sequence, turns.c.messages, turns.c.private)
    .where(*(turns.c[name] == sa.bindparam(f"of_{name}") for name in ("platform", "tenant", "user_id", "conversation")))
    .order_by(turns.c.sequence.desc())
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_LATEST_SHARED = Prepared(
    sa.select(turns.c.sequence, turns.c.messages, turns.c.private, turns.c.user_id)
    .where(
        *(turns.c[name] == sa.bindparam(f"of_{name}") for name in ("platform", "tenant", "conversation")),
        sa.or_(turns.c.user_id == sa.bindparam("of_user_id"), turns.c.private.is_(False)),
    )
    .order_by(turns.c.sequence.desc())
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_OTHERS = "[Somebody else in this group wrote this to you:]"
_APPEND = Prepared(turns.insert(), [column.name for column in turns.columns])


@dataclass(frozen=True, slots=True)
class History:
    """Earlier turns, oldest first.

    Attributes:
        sequences: For each turn, the sequence of the message that it answered.
        private: A turn contains something from the person's account, so the next answer may repeat it.
        outgrown: Older turns were left out because all turns together are too long.
    """

    messages: list[ModelMessage] = field(repr=False)
    private: bool
    sequences: tuple[int, ...] = field(default=(), repr=False)
    outgrown: bool = field(default=False, repr=False)


class Conversations:
    """Stores the turns, always with their principal; lives as long as the process and holds no turn."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def load(
        self,
        principal: Principal,
        conversation: str,
        *,
        turns_at_most: int,
        characters_at_most: int = HISTORY_CHARACTERS,
        shared: bool = False,
    ) -> History:
        """Return this person's latest turns in a conversation, as many as both limits allow.

        Turns are taken whole, so no tool call loses its result. A turn that can no longer be read is left out.

        Args:
            principal: The person.
            conversation: The conversation.
            turns_at_most: Maximum number of turns.
            characters_at_most: Maximum length of all turns together.
            shared: Also return what others said there, marked as such, apart from turns with something private.
        """
        person = {f"of_{name}": part for name, part in owner(principal).items()}
        given = {**person, "of_conversation": conversation, "at_most": turns_at_most}
        rows = (await self._database.fetch(_LATEST_SHARED if shared else _LATEST, given)).rows
        kept: list[tuple[int, list[ModelMessage], bool]] = []
        room = characters_at_most
        for row in rows:
            room -= len(row.messages)
            if room < 0:
                break
            try:
                turn = ModelMessagesTypeAdapter.validate_json(row.messages)
                others = shared and row.user_id != principal.user
                kept.insert(0, (row.sequence, _of_others(turn) if others else turn, row.private))
            except ValidationError:
                log.error("turn %d of %s cannot be read and is left out", row.sequence, principal)
        loaded = [message for _, turn, _ in kept for message in turn]
        # A run repairs its history in the same way, and its length before that would be wrong.
        return History(
            repair_messages(loaded),
            any(private for *_, private in kept),
            tuple(sequence for sequence, *_ in kept),
            outgrown=room < 0,
        )

    async def forget(self, principal: Principal, conversation: str) -> None:
        """Erase everything that this person and the assistant said in a conversation."""
        async with self._database.writing() as connection:
            await connection.execute(turns.delete().where(_of(principal, conversation)))

    def row(
        self, principal: Principal, conversation: str, sequence: int, turn: list[ModelMessage], *, private: bool
    ) -> dict[str, object]:
        """Return the turn that answers a message as a new row of `turns`, by column.

        Args:
            principal: The person.
            conversation: The conversation.
            sequence: The sequence of the message.
            turn: The messages of the turn.
            private: The turn contains something from the person's account.
        """
        return {
            "id": uuid.uuid4().hex,
            **owner(principal),
            "conversation": conversation,
            "sequence": sequence,
            "messages": dump(turn),
            "private": private,
            "created_at": self._now(),
        }


async def keep(connection: AsyncConnection, row: Mapping[str, object], forget_before: int | None = None) -> None:
    """Store a row that `Conversations.row` has made, in the caller's transaction.

    Args:
        connection: The caller's transaction.
        row: The row.
        forget_before: Erase turns of the same person and conversation with a lower sequence, because the model can no
            longer take them.
    """
    if forget_before is not None:
        same = (turns.c[name] == row[name] for name in ("platform", "tenant", "user_id", "conversation"))
        await connection.execute(turns.delete().where(*same, turns.c.sequence < forget_before))
    await _APPEND.execute(connection, row)


def _of_others(turn: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Return a turn of another person, its words marked as theirs."""
    return [
        replace(message, parts=[_marked(part) for part in message.parts])
        if isinstance(message, ModelRequest)
        else message
        for message in turn
    ]


def _marked(part: ModelRequestPart) -> ModelRequestPart:
    if not isinstance(part, UserPromptPart):
        return part
    content = [part.content] if isinstance(part.content, str) else part.content
    return replace(part, content=[_OTHERS, *content])


def _of(principal: Principal, conversation: str) -> sa.ColumnElement[bool]:
    return sa.and_(owned_by(turns, principal), turns.c.conversation == conversation)


def dump(turn: list[ModelMessage]) -> str:
    """Return a turn as JSON text that `load` can read, even if a tool's result contains half a surrogate pair."""
    values = ModelMessagesTypeAdapter.dump_python(turn, mode="json")
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode(errors="replace").decode()
