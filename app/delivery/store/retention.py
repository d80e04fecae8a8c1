"""Retention: messages and answers are erased once they are old."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import approvals, former_accounts, messages, outbox, turns
from app.delivery.store.queries import has_contents
from app.messages import MessageState

_DAY_SECONDS = 86_400.0
_AT_ONCE = 500  # rows a transaction, so that nobody waits long for the writer
_ERASED = ""


class Retention:
    """Erases old contents; lives as long as the process.

    The row of an ended message stays, without its text, attachments, answer, address and the arguments of its
    approvals: its event id refuses a late duplicate and its sequence keeps the order. A parked run is deleted when its
    message ends, which `parked_seconds` bounds. Histories have their own limit, because people expect to be remembered
    for longer.
    """

    def __init__(
        self,
        database: Database,
        *,
        retention_days: float,
        history_days: float,
        account_days: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._retention_seconds = retention_days * _DAY_SECONDS
        self._history_seconds = history_days * _DAY_SECONDS
        self._account_seconds = account_days * _DAY_SECONDS
        self._now = now

    async def erase(self) -> int:
        """Erase what is too old, and return how many messages that were."""
        erased = 0
        while (count := await self._erase_messages()) > 0:
            erased += count
        async with self._database.writing() as connection:
            await connection.execute(turns.delete().where(turns.c.created_at < self._now() - self._history_seconds))
            forgotten = former_accounts.c.ended_at < self._now() - self._account_seconds
            await connection.execute(former_accounts.delete().where(forgotten))
        return erased

    async def _erase_messages(self) -> int:
        ended = messages.c.state.in_((MessageState.DONE, MessageState.FAILED))
        old = (
            sa.select(messages.c.id)
            .where(
                ended,
                messages.c.changed_at < self._now() - self._retention_seconds,
                has_contents(),
            )
            .limit(_AT_ONCE)
        )
        async with self._database.reading(long=True) as connection:
            found = list((await connection.execute(old)).scalars())
        if not found:
            return 0
        blank: dict[str, object] = {
            "body": _ERASED,
            "attachments": None,
            "answer": None,
            "link_id": None,
            "files": None,
        }
        blank |= {"address": {}, "payload": None}
        async with self._database.writing() as connection:
            still_ended = messages.update().where(messages.c.id.in_(found), ended)  # none that is tried again
            erased = await connection.execute(still_ended.values(**blank).returning(messages.c.id))
            ids = list(erased.scalars())
            asked = approvals.update().where(approvals.c.message_id.in_(ids))
            await connection.execute(asked.values(arguments="{}", form=None, answer=None))
            await connection.execute(outbox.delete().where(outbox.c.message_id.in_(ids)))
        return len(ids)
