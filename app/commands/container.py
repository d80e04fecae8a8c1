"""The container, for commands that need more than the database."""

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
    """Yield the container of the settings with its database open until the command ends, without starting anything.

    In sandbox mode it uses the sandbox of a running `deputy serve`, if there is one.
    """
    # Imported here: the other commands start without the container.
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build

    container = build(configured_for_sandbox(settings))
    async with AsyncExitStack() as stack:
        database = container.database()
        stack.push_async_callback(database.close)
        await database.open()
        for http in (container.http(), *container.discovery_http()):
            stack.push_async_callback(http.aclose)
        yield container


def moment(posix_seconds: float | None) -> str | None:
    """Return a time as commands print it: ``2026-11-24T22:09:52Z``."""
    if posix_seconds is None:
        return None
    return datetime.fromtimestamp(posix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
