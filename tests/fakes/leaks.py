"""The data that an error would reveal in a log."""

from __future__ import annotations

import logging
import traceback

import sqlalchemy as sa

from app.database.database import Database

log = logging.getLogger(__name__)


def everything_in(error: BaseException) -> str:
    """Return everything that an error contains: its texts and fields, and those of the errors that caused it."""
    chain = [error]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    shown = [repr((each, each.args, vars(each), getattr(each, "doc", None))) for each in chain]
    return "".join([*traceback.format_exception(error), *shown])


def log_statements(database: Database) -> None:
    """Log every statement with its parameters, as a driver does that is being debugged."""

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        log.debug("%s %r", statement, parameters)

    sa.event.listen(database._engine.sync_engine, "before_cursor_execute", note)
