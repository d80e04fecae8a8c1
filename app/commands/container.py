"""The container for a command that needs more of it than the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.settings import Settings

if TYPE_CHECKING:
    from containers.application import Application


@asynccontextmanager
async def opened_container(settings: Settings) -> AsyncIterator[Application]:
    """The container of the settings with its database open, for the length of a command; nothing in it runs.

    The sandbox's Google is the one that `deputy serve` has running, if there is one.
    """
    # Imported here: the other commands start without the container.
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build

    container = build(configured_for_sandbox(settings))
    async with AsyncExitStack() as stack:
        database = container.database()
        stack.push_async_callback(database.close)
        await database.open()
        stack.push_async_callback(container.http().aclose)
        yield container


def moment(posix_seconds: float | None) -> str | None:
    """A time as it is printed: ``2026-11-24T22:09:52Z``."""
    if posix_seconds is None:
        return None
    return datetime.fromtimestamp(posix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
