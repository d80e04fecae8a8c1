"""Notes of writes that a run began without approval, so that a later attempt does not blindly repeat them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import sqlalchemy as sa

from app.database.database import Database
from app.database.prepared import Prepared, inserting
from app.database.tables import begun_writes, messages, of_person, owner, whose
from app.errors import AgentError
from app.messages import MessageState
from app.principal import Principal

_HOLD = Prepared(
    sa.select(messages.c.id)
    .where(
        of_person(messages),
        messages.c.id == sa.bindparam("of_message"),
        messages.c.state == MessageState.RUNNING,
        messages.c.attempt == sa.bindparam("of_attempt"),
    )
    .with_for_update()
)
_OF_MESSAGE = Prepared(
    sa.select(begun_writes.c.tool)
    .where(of_person(begun_writes), begun_writes.c.message_id == sa.bindparam("of_message"))
    .order_by(begun_writes.c.created_at)
)


class Writes:
    """Notes each write that must not be repeated before it is made; lives as long as the process and holds none.

    The notes of a message are gone once it is done, failed or parked, because its turn then says what was written.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    async def begin(self, principal: Principal, message_id: str, attempt: int, tool: str) -> None:
        """Note that a tool is about to write for this person's message.

        Raises:
            AgentError: Another attempt has taken the message over, so this one must write nothing more.
        """
        given = {**whose(principal), "of_message": message_id, "of_attempt": attempt}
        async with self._database.writing() as connection:
            held = (await _HOLD.execute(connection, given)).one_or_none()
            if held is None:
                raise AgentError("Something else has taken this message over, so I stopped.")
            row = {
                "id": uuid.uuid4().hex,
                **owner(principal),
                "message_id": message_id,
                "tool": tool,
                "created_at": self._now(),
            }
            await inserting(begun_writes, *row).execute(connection, row)

    async def of_message(self, principal: Principal, message_id: str) -> list[str]:
        """Return the tools that began to write for this person's message, in order."""
        rows = (await self._database.fetch(_OF_MESSAGE, {**whose(principal), "of_message": message_id})).rows
        return [row.tool for row in rows]
