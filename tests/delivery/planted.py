"""Faults to plant in a Deputy process, so that the verdict can be seen to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa


def plant(fault: str | None) -> None:
    """Change this process so that it makes a mistake; None changes nothing."""
    if fault is not None:
        FAULTS[fault]()


def double_reply() -> None:
    """Every answer is posted twice."""
    from interfaces.slack.client import SlackChannel

    send = SlackChannel.send

    async def twice(self: SlackChannel, *args: Any, **kwargs: Any) -> None:
        await send(self, *args, **kwargs)
        await send(self, *args, **kwargs)

    SlackChannel.send = twice  # type: ignore[method-assign]


def lose_rows() -> None:
    """Some messages are acknowledged and not stored."""
    from app.delivery.inbox import Inbox

    insert = Inbox._insert

    async def forgetful(self: Inbox, message: Any) -> Any:
        stored = await insert(self, message)
        if message.event_id.endswith("7"):
            from app.database.tables import messages

            async with self._database.writing() as connection:
                await connection.execute(messages.delete().where(messages.c.id == stored.message_id))
        return stored

    Inbox._insert = forgetful  # type: ignore[method-assign]


def newest_first() -> None:
    """The newest message of a conversation is begun first."""
    order_by = sa.Select.order_by

    def reversed_(self: Any, *columns: Any) -> Any:
        return order_by(
            self, *(column.desc() if getattr(column, "name", "") == "sequence" else column for column in columns)
        )

    sa.Select.order_by = reversed_  # type: ignore[method-assign]


def no_fence() -> None:
    """A message is finished by whoever began it, whoever has it in work by now."""
    from app.delivery.worker import Worker

    async def never_look(self: Worker) -> None:
        pass

    Worker._renew_once = never_look  # type: ignore[method-assign]
    where = sa.Update.where

    def unfenced(self: Any, *conditions: Any) -> Any:
        fences = ("messages.attempt = ", "messages.state = ")
        is_end = any(str(condition).startswith(fences[0]) for condition in conditions)
        left = [condition for condition in conditions if not (is_end and str(condition).startswith(fences))]
        return where(self, *left)

    sa.Update.where = unfenced  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault for fault in (double_reply, lose_rows, newest_first, no_fence)
}
