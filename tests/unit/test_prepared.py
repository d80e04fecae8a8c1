"""Prepared statements on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import sqlalchemy as sa

from app.database.prepared import Prepared


def test_the_repr_of_a_row_shows_no_value() -> None:
    """A value can be read from its column, but does not appear in a row's repr, which a log may show."""
    statement = Prepared(sa.select(sa.bindparam("words", type_=sa.Text).label("said"), sa.literal(7).label("number")))

    with closing(sqlite3.connect(":memory:")) as driver:
        found = statement.on_sqlite(driver, sa.create_engine("sqlite://"), {"words": "my secret"})

    row = found.one_or_none()
    assert row is not None
    assert (row.said, row.number) == ("my secret", 7)
    assert "secret" not in f"{found!r} {row!r}"
