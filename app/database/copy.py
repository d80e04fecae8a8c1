"""Copying everything from one database to another, SQLite or PostgreSQL, in one transaction of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database
from app.database.tables import metadata, replicas
from app.database.url import described
from app.errors import SettingsError

# Which processes are at work says nothing about the other database.
COPIED = tuple(table for table in metadata.sorted_tables if table is not replicas)
_BATCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a table: how many rows, and a digest of all their values that does not depend on their order."""

    rows: int = 0
    digest: int = 0

    def with_rows(self, rows: Sequence[sa.Row[Any]]) -> Contents:
        """Return the contents with these rows as well."""
        added = sum(int.from_bytes(hashlib.sha256(_text(row)).digest()) for row in rows)
        return Contents(self.rows + len(rows), (self.digest + added) % 2**256)


async def copy_database(source: Database, target: Database) -> dict[str, int]:
    """Copy every row as it is, sealed values included, and return the number of rows of each table.

    What arrived is read again and compared before it is committed, so the target has everything or nothing. Nobody can
    write to the source meanwhile.

    Raises:
        SettingsError: The source is not at this version's schema; the target is not empty, or has another schema; or
            what was read from the target differs.
    """
    present, needed = await source.revisions()
    if present != needed:
        raise SettingsError(f"the database is at revision {present}, not {needed}; run `deputy db upgrade` first")
    await _prepare(target, needed)
    async with source.writing() as reading, target.writing() as writing:
        if reading.dialect.name == "postgresql":
            tables = ", ".join(table.name for table in COPIED)
            await reading.execute(sa.text(f"LOCK TABLE {tables} IN SHARE MODE"))
        before = {table: await _copy_table(reading, writing, table) for table in COPIED}
        for table, contents in before.items():
            if await _contents(writing, table) != contents:
                raise SettingsError(f"--to: {table.name} differs after copying; nothing was kept, so try again")
            await _continue_numbers(writing, table)
    return {table.name: contents.rows for table, contents in before.items()}


async def _prepare(target: Database, needed: str | None) -> None:
    present, _ = await target.revisions()
    if present is None:
        await target.open()
    elif present != needed:
        raise SettingsError(f"--to: the database is at revision {present}, not {needed}; name an empty database")
    async with target.reading() as connection:
        for table in metadata.sorted_tables:
            if (await connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1))).first() is not None:
                raise SettingsError(
                    f"--to: {described(target.url)} is not empty: {table.name} has rows; name an empty database"
                )


async def _copy_table(reading: AsyncConnection, writing: AsyncConnection, table: sa.Table) -> Contents:
    contents = Contents()
    async with reading.stream(sa.select(table)) as rows:
        async for batch in rows.partitions(_BATCH_ROWS):
            await writing.execute(table.insert(), [dict(row._mapping) for row in batch])
            contents = contents.with_rows(batch)
    return contents


async def _contents(connection: AsyncConnection, table: sa.Table) -> Contents:
    contents = Contents()
    async with connection.stream(sa.select(table)) as rows:
        async for batch in rows.partitions(_BATCH_ROWS):
            contents = contents.with_rows(batch)
    return contents


async def _continue_numbers(connection: AsyncConnection, table: sa.Table) -> None:
    """Let PostgreSQL number the next row after the last one that was copied; SQLite does."""
    numbered = [column for column in table.columns if column.identity is not None]
    for column in numbered if connection.dialect.name == "postgresql" else []:
        last = (await connection.execute(sa.select(sa.func.max(column)))).scalar()
        if last is not None:
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            await connection.execute(sa.select(sa.func.setval(sequence, last)))


def _text(row: sa.Row[Any]) -> bytes:
    return json.dumps(list(row), sort_keys=True).encode()
