"""The engine, as delivery sees it: it calls the worker for every conversation that was woken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from app.database.database import Database
from app.messages import ConversationKey
from app.supervisor import Supervisor

WorkOff = Callable[[ConversationKey], Awaitable[None]]


class Wakeups(Protocol):
    """Accepts hints that a conversation may have undone messages. The rows are the truth; a hint may be lost."""

    async def wake(self, conversation: ConversationKey) -> None:
        """Have the worker look at the conversation soon, at least once after this call."""
        ...


class Engine(Wakeups, Protocol):
    """Wakes conversations, each at least once and never twice at the same time; knows no message."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Accept hints until the context ends."""
        ...

    def running(self, work_off: WorkOff, grace_seconds: float) -> AbstractAsyncContextManager[None]:
        """Call `work_off` for woken conversations until the context ends.

        Then no more calls begin, and those that still run after the grace period are cancelled.
        """
        ...


def open_engine(
    name: str, supervisor: Supervisor, database: Database, *, concurrency: int, lease_seconds: float
) -> Engine:
    """Return the engine of this name, without any I/O yet.

    Raises:
        SettingsError: The engine needs PostgreSQL, and the database is something else.
    """
    if name == "procrastinate":
        from app.delivery.engines.procrastinate import ProcrastinateEngine  # psycopg is imported only where it is used

        return ProcrastinateEngine(database, supervisor, concurrency=concurrency, lease_seconds=lease_seconds)
    from app.delivery.engines.embedded import EmbeddedEngine

    return EmbeddedEngine(supervisor)
