"""The clock that all processes of one database share."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _DatabaseTime(FunctionElement[float]):
    type = sa.Double()
    inherit_cache = True


DATABASE_TIME: sa.ColumnElement[float] = _DatabaseTime()
"""The time on the database's clock, POSIX seconds, read each time a statement with it is executed.

The clocks of two machines may differ by a minute. SQLite runs on one machine, so that machine's clock is used.
"""

_OF_SERVER = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
_OF_MACHINE = sa.bindparam("database_time", callable_=lambda: time.time(), type_=sa.Double)


@compiles(_DatabaseTime)
def _compile(_: _DatabaseTime, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(_OF_SERVER if compiler.dialect.name == "postgresql" else _OF_MACHINE, **how)
