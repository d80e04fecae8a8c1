"""Changes a row's state by compare-and-set: if several callers try, exactly one succeeds."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


def changing(
    table: sa.Table,
    which: sa.ColumnElement[bool],
    before: StrEnum | Collection[StrEnum],
    after: StrEnum,
    /,
    *,
    fence: sa.ColumnElement[bool] | None = None,
    **values: Any,
) -> sa.Update:
    """Return the statement that moves rows from one state to the next; add `.returning()` to read what it changed.

    Args:
        table: A table with a column `state`.
        which: Selects the rows.
        before: The state, or the states, that a row must be in.
        after: The new state.
        fence: A further condition that must still hold, such as the attempt or version that the caller has seen.
        values: The new values of other columns.
    """
    is_before = table.c.state == before if isinstance(before, StrEnum) else table.c.state.in_(tuple(before))
    conditions = [which, is_before]
    if fence is not None:
        conditions.append(fence)
    return table.update().where(*conditions).values(state=after, **values)


async def changed(
    connection: AsyncConnection,
    table: sa.Table,
    which: sa.ColumnElement[bool],
    before: StrEnum | Collection[StrEnum],
    after: StrEnum,
    /,
    *,
    fence: sa.ColumnElement[bool] | None = None,
    **values: Any,
) -> bool:
    """Move one row from one state to the next in the caller's transaction; return whether exactly one row changed.

    The arguments are those of `changing`.
    """
    statement = changing(table, which, before, after, fence=fence, **values)
    return (await connection.execute(statement)).rowcount == 1
