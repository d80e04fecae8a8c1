"""Completes ids that an administrator types: the whole id, or a beginning that only one id has."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from app.database.database import Database
from app.errors import NotFoundError

_BEGINNING = re.compile(r"[0-9a-f]{8,32}")


async def whole_id(
    database: Database, column: sa.Column[Any], beginning: str, noun: str, which: sa.ColumnElement[bool] | None = None
) -> str:
    """Return the only id in a column that begins with `beginning`.

    Args:
        database: The database.
        column: A column of ids of 32 hexadecimal digits.
        beginning: The first 8 to 32 digits.
        noun: The kind of object, for the error: ``message``.
        which: Limits the rows; None for all.

    Raises:
        NotFoundError: No id begins so, or several do.
    """
    if _BEGINNING.fullmatch(beginning) is None:
        raise NotFoundError(f"the id of a {noun}, or its beginning, has 8 to 32 hexadecimal digits, not {beginning!r}")
    query = sa.select(column).where(column.startswith(beginning)).distinct().limit(2)
    async with database.reading() as connection:
        ids = (await connection.execute(query if which is None else query.where(which))).scalars().all()
    if not ids:
        raise NotFoundError(f"there is no {noun} whose id begins with {beginning}")
    if len(ids) > 1:
        raise NotFoundError(f"several {noun}s have an id that begins with {beginning}; write more of it")
    return str(ids[0])
