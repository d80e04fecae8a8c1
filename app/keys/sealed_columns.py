"""Sealing and opening the sealed columns of the database, which app/database/tables.py declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.prepared import Columns
from app.database.tables import metadata
from app.keys.ring import KeyRing, prefix_of

_GOOGLE = "google"


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column that the key ring seals.

    Attributes:
        bound_to: The columns whose values in the row it is bound to.
        key: The primary key, one column.
    """

    column: sa.Column[str]
    bound_to: tuple[sa.Column[str], ...]
    key: sa.Column[str]

    def __str__(self) -> str:
        return f"{self.column.table.name}.{self.column.name}"

    def open(self, key_ring: KeyRing, row: sa.Row[Any]) -> str:
        """Return what is sealed in a row that `rows` has found.

        Raises:
            SealError: It does not open with this ring for this row.
        """
        return key_ring.open(row.sealed, *_bindings(self.column, row._mapping))

    def seal(self, key_ring: KeyRing, row: sa.Row[Any], plaintext: str) -> str:
        """Return the same, or another, text sealed for the same row."""
        return seal(key_ring, self.column, plaintext, row._mapping)

    def rows(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Select the rows in which something is sealed, ordered by their keys; each has `row_key` and `sealed`."""
        columns: list[sa.ColumnElement[Any]] = [self.key.label("row_key"), self.column.label("sealed"), *self.bound_to]
        return sa.select(*columns).where(self.column.like("v1.%.%"), *conditions).order_by(self.key)

    def sealed_with(self, *key_ids: str) -> sa.ColumnElement[bool]:
        """Return the condition that a row is sealed with one of these keys."""
        return sa.or_(*(self.column.startswith(prefix_of(key_id), autoescape=True) for key_id in key_ids))


def seal(key_ring: KeyRing, column: sa.Column[str], plaintext: str, values: Mapping[Any, Any]) -> str:
    """Return a text sealed for the row that has these values, by column name."""
    return key_ring.seal(plaintext, *_bindings(column, values))


def unseal(key_ring: KeyRing, column: sa.Column[str], row: Columns) -> str:
    """Return what is sealed in this column of a row.

    Raises:
        SealError: It does not open with this ring for this row.
    """
    values = {name: getattr(row, name) for name in (column.name, *column.info["bound_to"])}
    return key_ring.open(values[column.name], *_bindings(column, values))


def sealed_columns() -> list[SealedColumn]:
    """Return all of them."""
    return [
        _declared(column) for table in metadata.sorted_tables for column in table.columns if "bound_to" in column.info
    ]


async def one_of_each(
    connection: AsyncConnection, condition: Callable[[SealedColumn], sa.ColumnElement[bool]]
) -> list[tuple[SealedColumn, str]]:
    """Return each column in which a row meets a condition, with what is sealed in one such row; in one statement."""
    columns = sealed_columns()
    found = [sealed.rows(condition(sealed)).limit(1).subquery() for sealed in columns]
    numbered = (sa.select(sa.literal(number).label("number"), rows.c.sealed) for number, rows in enumerate(found))
    values = {row.number: row.sealed for row in await connection.execute(sa.union_all(*numbered))}
    return [(sealed, values[number]) for number, sealed in enumerate(columns) if number in values]


async def count_by_key(connection: AsyncConnection, key_ids: Collection[str]) -> Counter[str]:
    """Count the values that are sealed with each of these keys."""
    counts: Counter[str] = Counter()
    for sealed in sealed_columns():
        for key_id in key_ids:
            rows = sealed.rows(sealed.sealed_with(key_id)).order_by(None).subquery()
            counts[key_id] += (await connection.execute(sa.select(sa.func.count()).select_from(rows))).scalar_one()
    return counts


def _bindings(column: sa.Column[Any], values: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return what this column of a row is bound to, as `tables.py` declares it; "" stands for NULL."""
    bound_to = column.info["bound_to"]
    if "provider" in bound_to and values["provider"] == _GOOGLE:  # as before there were other providers
        bound_to = [name for name in bound_to if name != "provider"]
    return (column.info["kind"], *(values[name] or "" for name in bound_to))


def _declared(column: sa.Column[Any]) -> SealedColumn:
    table = column.table
    assert isinstance(table, sa.Table)
    (key,) = table.primary_key.columns
    return SealedColumn(column, tuple(table.c[name] for name in column.info["bound_to"]), key)
