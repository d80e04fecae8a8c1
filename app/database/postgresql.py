"""What a connection to PostgreSQL is asked for, and how transactions are ended whose process stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

APPLICATION_NAME = "deputy"  # under which PostgreSQL knows every connection of ours
LOCK_TIMEOUT = "10s"  # as long as SQLite waits for another one's write
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0  # for a statement; more than a lock is waited for, and less than a lease
_CONNECTIONS = 15  # of a process

# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_END_STUCK = sa.text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = :name
      AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :seconds)
""")


def engine_arguments(url: sa.URL) -> dict[str, Any]:
    """The arguments of SQLAlchemy's engine.

    Every connection that is opened is kept: opening one costs more than most transactions. None is waited for without
    an end: a server whose machine is gone says nothing at all, and a request must be refused while its sender waits.
    """
    pool = {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": ANSWER_SECONDS}
    return {**pool, "connect_args": _connect_args(url, ANSWER_SECONDS), "pool_pre_ping": not _is_asyncpg(url)}


def prepare(engine: sa.Engine) -> None:
    """Have connections that were lost replaced as they are taken from the pool, and those given up that do not answer.

    asyncpg knows by itself that one was lost. A question to the server instead would cost as much as most transactions.
    """
    if _is_asyncpg(engine.url):
        sa.event.listen(engine, "checkout", _refuse_lost)
        sa.event.listen(engine, "handle_error", _give_up)


@asynccontextmanager
async def own_connection(url: sa.URL, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
    """A connection of one's own, as those of the pool may be what is held up.

    Args:
        url: Where to.
        patient: Its statements may take as long as they do, as those of a migration.
    """
    arguments = _connect_args(url, None if patient else ANSWER_SECONDS)
    engine = create_async_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments)
    prepare(engine.sync_engine)
    async with engine.connect() as connection:
        yield connection


async def end_stuck(url: sa.URL, seconds: float) -> int:
    """End every transaction that has waited for its Deputy process for so long; returns how many that were.

    PostgreSQL's idle_in_transaction_session_timeout would not do: to it, a session that has had the first half of a
    statement, as asyncpg sends it, is not idle.
    """
    async with own_connection(url) as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        ended = await connection.execute(_END_STUCK, {"seconds": seconds, "name": APPLICATION_NAME})
        return len(ended.all())


def libpq_limits() -> dict[str, str | int]:
    """How long libpq waits, in its own words: https://www.postgresql.org/docs/current/libpq-connect.html.

    Of a machine that is gone the kernel hears nothing, and with these says so after about 15 seconds.
    """
    return {
        "connect_timeout": int(CONNECT_SECONDS),
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": int(ANSWER_SECONDS * 1000),
    }


def _connect_args(url: sa.URL, answer_seconds: float | None) -> dict[str, Any]:
    """The arguments of a connection, in the driver's own words."""
    if not _is_asyncpg(url):
        options = f"-c lock_timeout={LOCK_TIMEOUT}"
        return {"application_name": APPLICATION_NAME, "options": options, **libpq_limits()}
    settings = {"application_name": APPLICATION_NAME, "lock_timeout": LOCK_TIMEOUT}
    return {
        "server_settings": settings,
        "async_creator_fn": _connect,
        "timeout": CONNECT_SECONDS,
        "command_timeout": answer_seconds,
    }


async def _connect(*arguments: Any, **named: Any) -> Any:
    """Connect with asyncpg, or fail like where nothing listens: a bare TimeoutError would be taken for the caller's."""
    import asyncpg

    try:
        return await asyncpg.connect(*arguments, **named)
    except TimeoutError:
        raise ConnectionError("PostgreSQL does not answer") from None


def _is_asyncpg(url: sa.URL) -> bool:
    return url.get_driver_name() == "asyncpg"


def _refuse_lost(connection: Any, _record: object, _proxy: object) -> None:
    if connection.driver_connection.is_closed():
        raise sa.exc.DisconnectionError


def _give_up(context: sa.engine.ExceptionContext) -> sa.exc.OperationalError | None:
    """Take a statement that was not answered in time for a connection that is lost, whose pool is made anew."""
    if not isinstance(context.original_exception, TimeoutError):
        return None
    context.is_disconnect = True
    return sa.exc.OperationalError(None, None, ConnectionError("PostgreSQL does not answer"))
