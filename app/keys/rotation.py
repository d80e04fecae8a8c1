"""Sealing everything anew with the first key of the ring, row by row, while servers run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import sqlalchemy as sa

from app.database.database import Database
from app.errors import SealError
from app.keys.ring import KeyRing
from app.keys.sealed_columns import SealedColumn, count_by_key, sealed_columns

_BATCH_ROWS = 100
_PASSES = 5  # servers that do not follow the ring seal with the old key until they are started again


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one column is.

    Attributes:
        column: Which, as ``table.column``.
        sealed_anew: How many of its values this pass has sealed with the first key.
        overtaken: How many somebody else has changed in between; the next pass looks at them.
        shut: The keys of rows whose value does not open: they were tampered with, and are left as they are.
    """

    column: str
    sealed_anew: int
    overtaken: int
    shut: tuple[str, ...]


class Rotation:
    """Moves all that is sealed to the ring's first key; lives for one command.

    Every value is replaced in a transaction of its own, and only if it is still the text that was opened: what
    somebody else has written in between stays, and two rows are never locked at once. A rotation that ended at any
    moment has left every value open-able, and the next one goes on with what is left.
    """

    def __init__(self, database: Database, key_ring: KeyRing, *, batch_rows: int = _BATCH_ROWS) -> None:
        self._database = database
        self._key_ring = key_ring
        self._batch_rows = batch_rows

    async def counts(self) -> dict[str, int]:
        """Count the values that are sealed with each key of the ring; the first key comes first."""
        key_ids = self._key_ring.key_ids
        async with self._database.reading() as connection:
            counts = await count_by_key(connection, key_ids)
        return {key_id: counts[key_id] for key_id in key_ids}

    async def run(self) -> AsyncIterator[Progress]:
        """Seal anew what another key has sealed, until a pass finds nothing more; tells after each batch."""
        for _ in range(_PASSES):
            found = False
            for sealed in sealed_columns():
                async for progress in self._column(sealed):
                    found = found or progress.sealed_anew + progress.overtaken > 0
                    yield progress
            if not found:
                return

    async def _column(self, sealed: SealedColumn) -> AsyncIterator[Progress]:
        last = ""
        sealed_anew, overtaken, shut = 0, 0, []
        while batch := await self._batch(sealed, last):
            for row in batch:
                try:
                    plaintext = sealed.open(self._key_ring, row)
                except SealError:
                    shut.append(str(row.row_key))
                    continue
                if await self._replace(sealed, row, plaintext):
                    sealed_anew += 1
                else:
                    overtaken += 1
            last = batch[-1].row_key
            yield Progress(str(sealed), sealed_anew, overtaken, tuple(shut))

    async def _batch(self, sealed: SealedColumn, last: str) -> list[sa.Row[tuple[object, ...]]]:
        primary = self._key_ring.key_ids[0]
        rows = sealed.rows(~sealed.sealed_with(primary), sealed.key > last).limit(self._batch_rows)
        async with self._database.reading() as connection:
            return list((await connection.execute(rows)).all())

    async def _replace(self, sealed: SealedColumn, row: sa.Row[tuple[object, ...]], plaintext: str) -> bool:
        column = sealed.column
        fresh = sealed.seal(self._key_ring, row, plaintext)
        async with self._database.writing() as connection:
            unchanged = sa.and_(sealed.key == row.row_key, column == row.sealed)
            replaced = await connection.execute(column.table.update().where(unchanged).values({column.name: fresh}))
        return replaced.rowcount == 1
