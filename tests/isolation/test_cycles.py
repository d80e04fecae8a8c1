"""An error or a cancellation that leaves a library creates no reference cycle that keeps its callers' objects alive."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from app.database.database import Database
from tests.fakes.fading import Belonging, fading, without_the_collector


async def ask_for(database: Database, statement: str, made: list[weakref.ref[Belonging]]) -> None:
    """Query the database while a person's object is in use."""
    belonging = Belonging()
    made.append(weakref.ref(belonging))
    async with database.reading() as connection:
        await connection.execute(sa.text(statement))


async def fail(database: Database, made: list[weakref.ref[Belonging]]) -> None:
    """Make a query that the database refuses."""
    with pytest.raises(sa.exc.DBAPIError):
        await ask_for(database, "SELECT * FROM nowhere", made)


async def interrupt(database: Database, made: list[weakref.ref[Belonging]]) -> None:
    """Cancel a query while it runs, and try again if it had already ended."""
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n"
    was_interrupted = False
    while not was_interrupted:
        task = asyncio.create_task(ask_for(database, counting, made))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        was_interrupted = task.cancelled()


@pytest.mark.parametrize("end", [fail, interrupt])
async def test_a_query_that_ends_early_keeps_nothing(
    database: Database, end: Callable[[Database, list[weakref.ref[Belonging]]], Awaitable[None]]
) -> None:
    """A query that fails or is cancelled keeps no object alive, although SQLAlchemy stores the error in a frame."""
    made: list[weakref.ref[Belonging]] = []
    with without_the_collector():
        for _ in range(3):
            await end(database, made)
        await fading(made)

    assert len(made) >= 3
    assert not any(reference() for reference in made)
