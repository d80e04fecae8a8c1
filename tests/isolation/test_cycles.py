"""An error or a cancellation on its way out of a library leaves no cycle that keeps its callers' objects."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator

import pytest
import sqlalchemy as sa

from app.database.database import Database
from tests.fakes.fading import fading


class Belonging:
    """Something of a person's."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only what nothing refers to is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def ask_for(database: Database, statement: str, made: list[weakref.ref[Belonging]]) -> None:
    """Ask the database while something of a person's is in use."""
    belonging = Belonging()
    made.append(weakref.ref(belonging))
    async with database.reading() as connection:
        await connection.execute(sa.text(statement))


async def fail(database: Database, made: list[weakref.ref[Belonging]]) -> None:
    """Let the database refuse."""
    with pytest.raises(sa.exc.DBAPIError):
        await ask_for(database, "SELECT * FROM nowhere", made)


async def interrupt(database: Database, made: list[weakref.ref[Belonging]]) -> None:
    """Cancel in the midst of a query; on a busy machine it may have ended by then, so try until one was interrupted."""
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n"
    was_interrupted = False
    while not was_interrupted:
        task = asyncio.create_task(ask_for(database, counting, made))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        was_interrupted = task.cancelled()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", [fail, interrupt])
async def test_a_query_that_ends_early_keeps_nothing(
    database: Database, end: Callable[[Database, list[weakref.ref[Belonging]]], Awaitable[None]]
) -> None:
    """SQLAlchemy keeps the error in a variable of one of its frames; that cycle is broken on the way out."""
    made: list[weakref.ref[Belonging]] = []
    for _ in range(3):
        await end(database, made)
    await fading(made)

    assert len(made) >= 3
    assert not any(reference() for reference in made)
