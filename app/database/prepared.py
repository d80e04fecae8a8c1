"""Statements that every message costs: SQLAlchemy expressions that are compiled once and executed by the driver.

There is one way to write SQL, and these are written like all others. Executing one through SQLAlchemy takes ten times
as long as the statement itself, so a prepared one goes straight to `sqlite3`, or to asyncpg's own connection.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from app.database.straight import run

Parameters = Mapping[str, object]


class Columns(Protocol):
    """A row, by the names of its columns."""

    def __getattr__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Executed:
    """The result of a statement.

    Attributes:
        rows: The rows that it returned.
        rowcount: How many rows it changed.
    """

    rows: Sequence[Columns] = field(repr=False)
    rowcount: int

    def one_or_none(self) -> Columns | None:
        """Return the only row, or None if there is none.

        Raises:
            sqlalchemy.exc.MultipleResultsFound: There are several.
        """
        if len(self.rows) > 1:
            raise sa.exc.MultipleResultsFound("a statement that finds one row found several")
        return self.rows[0] if self.rows else None


class Prepared:
    """A statement that is compiled at its first execution on a kind of database; lives as long as its module.

    Args:
        statement: With a parameter for every value that differs between executions.
        columns: Of an insert, the columns that are given as parameters.
    """

    def __init__(self, statement: sa.Executable, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}  # by driver; in production there is one

    async def execute(self, connection: AsyncConnection, parameters: Parameters) -> Executed:
        """Execute it in the caller's transaction.

        Raises:
            sqlalchemy.exc.DBAPIError: As SQLAlchemy would raise it.
        """
        if connection.dialect.driver == "asyncpg":
            return await self._on_asyncpg(connection, parameters)
        if connection.dialect.name != "sqlite":
            result = await connection.execute(self._statement, dict(parameters))
            return Executed(result.all() if result.returns_rows else (), result.rowcount)
        of_sqlalchemy = connection.sync_connection
        assert of_sqlalchemy is not None
        driver: Any = of_sqlalchemy.connection.dbapi_connection
        return self.on_sqlite(driver.sqlite, of_sqlalchemy.engine, parameters)

    def on_sqlite(self, driver: sqlite3.Connection, engine: sa.Engine, parameters: Parameters) -> Executed:
        """Execute it on a connection of SQLite's, in this thread.

        Raises:
            sqlalchemy.exc.DBAPIError: As SQLAlchemy would raise it.
        """
        compiled = self._compiled_for(engine.dialect)
        values = tuple(value(parameters) for value in compiled.values)
        for listener in engine.dispatch.before_cursor_execute:
            listener(None, None, compiled.text, values, None, False)
        try:
            cursor = driver.execute(compiled.text, values)
            found = cursor.fetchall() if cursor.description else ()
        except sqlite3.Error as error:
            failed = error
        else:
            return Executed(compiled.rows(found), cursor.rowcount)
        raise sa.exc.DBAPIError.instance(
            compiled.text,
            None,
            failed.with_traceback(None),
            sqlite3.Error,
            hide_parameters=True,
            dialect=engine.dialect,
        )

    async def _on_asyncpg(self, connection: AsyncConnection, parameters: Parameters) -> Executed:
        compiled = self._compiled_for(connection.dialect)
        values = tuple(value(parameters) for value in compiled.values)
        found, count, types = await run(connection, compiled.text, values)
        return Executed(compiled.rows(found, types) if types else (), count)

    def _compiled_for(self, dialect: sa.Dialect) -> _Compiled:
        if (compiled := self._compiled.get(dialect.driver)) is None:
            compiled = self._compiled[dialect.driver] = _Compiled(self._statement, dialect, self._columns)
        return compiled


@cache
def inserting(table: sa.Table, *columns: str) -> Prepared:
    """Return the statement that stores a row, which is given by these columns."""
    return Prepared(table.insert(), columns)


class _Compiled:
    """A statement as a driver takes it; lives as long as the statement.

    Attributes:
        values: Return the value of each place in the text, from the parameters.
    """

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect, columns: Sequence[str] | None) -> None:
        assert isinstance(statement, sa.ClauseElement)
        compiled = statement.compile(
            dialect=dialect,
            column_keys=[*columns] if columns is not None else None,
            compile_kwargs={"render_postcompile": True},
        )
        assert isinstance(compiled, SQLCompiler)
        assert compiled.positiontup is not None
        self.text = str(compiled)
        self.values = [_value(compiled, name) for name in compiled.positiontup]
        self._columns = compiled._result_columns
        self._dialect = dialect
        self._row: Callable[[Iterable[Any]], Columns] | None = None

    def rows(self, found: Sequence[Iterable[Any]], types: Sequence[Any] = ()) -> Sequence[Columns]:
        """Return rows of what the driver has found.

        Args:
            found: The rows by the driver.
            types: For each column, the driver's code of its type; empty if the driver has none.
        """
        if not found:
            return ()
        if self._row is None:
            self._row = _row(self._columns, self._dialect, types or [None] * len(self._columns))
        return [self._row(row) for row in found]


def _value(compiled: SQLCompiler, name: str) -> Callable[[Parameters], object]:
    """Return a function that finds the value of a parameter: given, asked for now, or fixed in the statement."""
    bind = compiled.binds.get(name)
    if bind is None:  # one of the values of `column IN (…)`
        fixed = compiled.params[name]
        return lambda _: fixed
    process: Callable[[Any], object] = compiled._bind_processors.get(name) or _same  # type: ignore[assignment]
    if (ask := bind.callable) is not None:
        return lambda _: process(ask())
    key = bind.key
    if bind.required:
        return lambda parameters: process(parameters[key])
    fixed = process(bind.value)
    return lambda parameters: process(parameters[key]) if key in parameters else fixed


def _row(columns: Sequence[Any], dialect: sa.Dialect, types: Sequence[Any]) -> Callable[[Iterable[Any]], Columns]:
    named: Any = namedtuple  # its names are not known to a type checker
    row: Any = named("Found", [column.keyname for column in columns], rename=True)
    row.__repr__ = _shown  # a row may hold what somebody wrote
    make: Callable[[Iterable[Any]], Columns] = row._make
    processors = [
        column.type._cached_result_processor(dialect, kind) for column, kind in zip(columns, types, strict=True)
    ]
    conversions = [(place, process) for place, process in enumerate(processors) if process is not None]
    if not conversions:
        return make

    def convert(found: Iterable[Any]) -> Columns:
        values = [*found]
        for place, process in conversions:
            values[place] = process(values[place])
        return make(values)

    return convert


def _shown(row: tuple[Any, ...]) -> str:
    return f"<a row of {len(row)} columns>"


def _same(value: Any) -> object:
    return value
