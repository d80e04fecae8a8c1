"""What delivery needs of an engine: that a conversation which was woken is worked off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from app.database.database import Database
from app.messages import ConversationKey
from app.supervisor import Supervisor

WorkOff = Callable[[ConversationKey], Awaitable[None]]


class Wakeups(Protocol):
    """Takes the hint that a conversation may have undone messages. The rows are the truth; a hint may be lost."""

    async def wake(self, conversation: ConversationKey) -> None:
        """Have the conversation worked off soon, at least once, after this call."""
        ...


class Engine(Wakeups, Protocol):
    """Wakes conversations, each at least once, and no conversation twice at a time; knows no message."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hints can be given until the context ends."""
        ...

    def running(self, work_off: WorkOff, grace_seconds: float) -> AbstractAsyncContextManager[None]:
        """Have `work_off` called for what is woken, until the context ends.

        At its end nothing new is begun, and what still runs after the grace is cancelled.
        """
        ...


def open_engine(
    name: str, supervisor: Supervisor, database: Database, *, concurrency: int, lease_seconds: float
) -> Engine:
    """The engine of this name; does no I/O yet.

    Raises:
        SettingsError: The engine needs PostgreSQL, and this database is none.
    """
    if name == "procrastinate":
        from app.delivery.engines.procrastinate import ProcrastinateEngine  # psycopg is imported only where it is used

        return ProcrastinateEngine(database, supervisor, concurrency=concurrency, lease_seconds=lease_seconds)
    from app.delivery.engines.embedded import EmbeddedEngine

    return EmbeddedEngine(supervisor)
