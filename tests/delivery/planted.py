"""Faults to plant in a Deputy process, to show that the verdict notices them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa


def plant(fault: str | None) -> None:
    """Change this process so that it makes a mistake; None changes nothing."""
    if fault is not None:
        FAULTS[fault]()


def double_reply() -> None:
    """Post every answer twice."""
    from interfaces.slack.client import SlackChannel

    send = SlackChannel.send

    async def twice(self: SlackChannel, *args: Any, **kwargs: Any) -> None:
        await send(self, *args, **kwargs)
        await send(self, *args, **kwargs)

    SlackChannel.send = twice  # type: ignore[method-assign]


def lose_rows() -> None:
    """Acknowledge some messages without storing them."""
    from app.delivery.store.inbox import Inbox

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
    """Begin the newest message of a conversation first."""
    order_by = sa.Select.order_by

    def reversed_(self: Any, *columns: Any) -> Any:
        return order_by(
            self, *(column.desc() if getattr(column, "name", "") == "sequence" else column for column in columns)
        )

    sa.Select.order_by = reversed_  # type: ignore[method-assign]


def no_fence() -> None:
    """Let an attempt that was superseded finish its message."""
    from app.delivery.work.worker import Worker

    async def never_look(self: Worker) -> None:
        pass

    Worker._renew_once = never_look  # type: ignore[method-assign]
    where = sa.Update.where

    def unfenced(self: Any, *conditions: Any) -> Any:
        fences = ("messages.attempt = ", "messages.state IN ", "messages.state = ")
        is_end = any(str(condition).startswith(fences[0]) for condition in conditions)
        left = [condition for condition in conditions if not (is_end and str(condition).startswith(fences))]
        return where(self, *left)

    sa.Update.where = unfenced  # type: ignore[method-assign]


def stand_still() -> None:
    """Stop the first process that answers m0000 just before it writes the answer's bytes to Slack."""
    import os
    import signal
    from pathlib import Path

    from aiohttp.http_writer import StreamWriter

    from interfaces.slack.http import SlackHttp
    from tests.delivery.badge import RECORD

    # Use a new connection for each post, because a kept one would be closed while the process is stopped.
    SlackHttp.session = None  # type: ignore[method-assign, assignment]

    def stopping(write: Callable[[StreamWriter, Any], None], bytes_of: Callable[[Any], bytes]) -> Any:
        def stop(self: StreamWriter, chunk: Any) -> None:
            if b"answer to m0000 " in bytes_of(chunk):
                try:
                    with Path(os.environ[RECORD]).with_name("stood_still").open("x") as file:
                        file.write(str(os.getpid()))
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGSTOP)
            write(self, chunk)

        return stop

    StreamWriter._write = stopping(StreamWriter._write, bytes)  # type: ignore[method-assign]
    StreamWriter._writelines = stopping(StreamWriter._writelines, b"".join)  # type: ignore[method-assign]


def stand_still_and_keep_both() -> None:
    """Do the same as `stand_still`, and never look for a second copy of an answer."""
    from interfaces.slack.client import SlackChannel

    async def look_away(self: SlackChannel, *args: Any) -> None:
        pass

    SlackChannel.keep_one = look_away  # type: ignore[method-assign, assignment]
    stand_still()


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (double_reply, lose_rows, newest_first, no_fence, stand_still, stand_still_and_keep_both)
}
