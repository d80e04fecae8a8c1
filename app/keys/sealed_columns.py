"""Every sealed column of the database, as app/database/tables.py declares them, and which keys they are sealed with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.tables import metadata
from app.keys.ring import KeyRing, prefix_of


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column that the key ring seals.

    Attributes:
        kind: The first of the bindings.
        bound_to: Whose values in the row are the others.
        key: The primary key, one column.
    """

    column: sa.Column[str]
    kind: str
    bound_to: tuple[sa.Column[str], ...]
    key: sa.Column[str]

    def __str__(self) -> str:
        return f"{self.column.table.name}.{self.column.name}"

    def open(self, key_ring: KeyRing, row: sa.Row[Any]) -> str:
        """What is sealed in a row that `rows` has found.

        Raises:
            SealError: It does not open with this ring for this row.
        """
        return key_ring.open(row.sealed, *self._bindings(row))

    def seal(self, key_ring: KeyRing, row: sa.Row[Any], plaintext: str) -> str:
        """The same, or another, text sealed for the same row."""
        return key_ring.seal(plaintext, *self._bindings(row))

    def rows(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The rows in which something is sealed, ordered by their keys; each has `row_key` and `sealed`."""
        columns: list[sa.ColumnElement[Any]] = [self.key.label("row_key"), self.column.label("sealed")]
        columns += [column.label(f"bound_{number}") for number, column in enumerate(self.bound_to)]
        return sa.select(*columns).where(self.column.like("v1.%.%"), *conditions).order_by(self.key)

    def sealed_with(self, *key_ids: str) -> sa.ColumnElement[bool]:
        """The condition that a row is sealed with one of these keys."""
        return sa.or_(*(self.column.startswith(prefix_of(key_id), autoescape=True) for key_id in key_ids))

    def _bindings(self, row: sa.Row[Any]) -> tuple[str, ...]:
        return (self.kind, *(row._mapping[f"bound_{number}"] or "" for number in range(len(self.bound_to))))


def sealed_columns() -> list[SealedColumn]:
    """All of them."""
    return [
        _declared(column) for table in metadata.sorted_tables for column in table.columns if "bound_to" in column.info
    ]


async def count_by_key(connection: AsyncConnection, key_ids: Collection[str]) -> Counter[str]:
    """How many values are sealed with each of these keys."""
    counts: Counter[str] = Counter()
    for sealed in sealed_columns():
        for key_id in key_ids:
            rows = sealed.rows(sealed.sealed_with(key_id)).order_by(None).subquery()
            counts[key_id] += (await connection.execute(sa.select(sa.func.count()).select_from(rows))).scalar_one()
    return counts


def _declared(column: sa.Column[Any]) -> SealedColumn:
    table = column.table
    assert isinstance(table, sa.Table)
    (key,) = table.primary_key.columns
    return SealedColumn(column, column.info["kind"], tuple(table.c[name] for name in column.info["bound_to"]), key)
