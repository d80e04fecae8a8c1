"""The settings of connections to PostgreSQL, and ending transactions whose process is suspended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.database.prepared import Prepared
from app.database.straight import StraightConnections

APPLICATION_NAME = "deputy"  # PostgreSQL's name for all of our connections
LOCK_TIMEOUT = "10s"  # as long as SQLite waits for another process's write
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0  # for a statement; longer than the wait for a lock, shorter than a lease
_CONNECTIONS = 15  # per process
_STRAIGHT = 8  # of them, for prepared statements and for what writes

# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_STUCK = """
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = :name
      AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :seconds)
"""
_FIND_STUCK = Prepared(sa.text(f"SELECT pid {_STUCK}").columns(pid=sa.Integer))
_END_STUCK = sa.text(f"SELECT pg_terminate_backend(pid) {_STUCK}")


def engine_arguments(url: sa.URL) -> dict[str, Any]:
    """Return the arguments of SQLAlchemy's engine.

    Every opened connection is kept, because opening one costs more than most transactions. No wait is unlimited: a
    server whose machine is gone never answers, and a request must be refused while its sender is still waiting.
    """
    pool = {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": ANSWER_SECONDS}
    return {**pool, "connect_args": _connect_args(url, ANSWER_SECONDS), "pool_pre_ping": not _is_asyncpg(url)}


def prepare(engine: sa.Engine) -> None:
    """Replace lost connections when they are taken from the pool, and abandon those that do not answer.

    asyncpg notices when a connection is lost. Asking the server instead would cost as much as most transactions.
    """
    if _is_asyncpg(engine.url):
        sa.event.listen(engine, "checkout", _refuse_lost)
        sa.event.listen(engine, "handle_error", _give_up)


@asynccontextmanager
async def own_connection(url: sa.URL, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
    """Yield a separate connection, because those in the pool may be the ones that are blocked.

    Args:
        url: The database's URL.
        patient: Whether statements have no time limit, as in a migration.
    """
    arguments = _connect_args(url, None if patient else ANSWER_SECONDS)
    engine = create_async_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments)
    prepare(engine.sync_engine)
    async with engine.connect() as connection:
        yield connection


async def any_stuck(connection: AsyncConnection, seconds: float) -> bool:
    """Return whether there is anything for `end_stuck` to end, for which a connection of the pool will do."""
    return bool((await _FIND_STUCK.execute(connection, _of_ours(seconds))).rows)


async def end_stuck(url: sa.URL, seconds: float) -> int:
    """End every transaction that has waited for its Deputy process for `seconds`; return how many were ended.

    PostgreSQL's idle_in_transaction_session_timeout is not enough: a session that has received the first half of a
    statement, as asyncpg sends it, does not count as idle.
    """
    async with own_connection(url) as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        ended = await connection.execute(_END_STUCK, _of_ours(seconds))
        return len(ended.all())


def _of_ours(seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "name": APPLICATION_NAME}


def libpq_limits() -> dict[str, str | int]:
    """Return libpq's time limits, by its own names: https://www.postgresql.org/docs/current/libpq-connect.html.

    With these, the kernel reports a machine that is gone after about 15 seconds.
    """
    return {
        "connect_timeout": int(CONNECT_SECONDS),
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": int(ANSWER_SECONDS * 1000),
    }


def straight_connections(engine: AsyncEngine) -> StraightConnections | None:
    """Return the connections for prepared statements; None if the driver is not asyncpg."""
    if not _is_asyncpg(engine.url):
        return None
    return StraightConnections(engine, at_most=_STRAIGHT, patience_seconds=ANSWER_SECONDS)


def _connect_args(url: sa.URL, answer_seconds: float | None) -> dict[str, Any]:
    """Return a connection's arguments, by the driver's names."""
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
    """Connect with asyncpg; raise ConnectionError on a time-out: a TimeoutError would look like the caller's."""
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
    """Treat a statement that was not answered in time as a lost connection, so that the pool is renewed."""
    if not isinstance(context.original_exception, TimeoutError):
        return None
    context.is_disconnect = True
    return sa.exc.OperationalError(None, None, ConnectionError("PostgreSQL does not answer"))
