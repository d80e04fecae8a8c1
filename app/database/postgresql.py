"""What a connection to PostgreSQL is asked for, and how transactions are ended whose process stands still."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

APPLICATION_NAME = "deputy"  # under which PostgreSQL knows every connection of ours
LOCK_TIMEOUT = "10s"  # as long as SQLite waits for another one's write
_CONNECTIONS = 15  # of a process

# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
_END_STUCK = sa.text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = :name
      AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :seconds)
""")


def engine_arguments(url: sa.URL) -> dict[str, Any]:
    """The arguments of SQLAlchemy's engine, with those for a connection in the driver's own words.

    Every connection that is opened is kept: opening one costs more than most transactions.
    """
    pool = {"pool_size": _CONNECTIONS, "max_overflow": 0}
    if _is_asyncpg(url):
        settings = {"application_name": APPLICATION_NAME, "lock_timeout": LOCK_TIMEOUT}
        return {**pool, "connect_args": {"server_settings": settings}}
    options = {"application_name": APPLICATION_NAME, "options": f"-c lock_timeout={LOCK_TIMEOUT}"}
    return {**pool, "connect_args": options, "pool_pre_ping": True}


def prepare(engine: sa.Engine) -> None:
    """Have connections that were lost replaced as they are taken from the pool.

    asyncpg knows by itself that one was lost. A question to the server instead would cost as much as most transactions.
    """
    if _is_asyncpg(engine.url):
        sa.event.listen(engine, "checkout", _refuse_lost)


async def end_stuck(url: sa.URL, seconds: float) -> int:
    """End every transaction that has waited for its Deputy process for so long; returns how many that were.

    PostgreSQL's idle_in_transaction_session_timeout would not do: to it, a session that has had the first half of a
    statement, as asyncpg sends it, is not idle. The connection is one of its own, as those of the pool may be what is
    held up.
    """
    engine = create_async_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True)
    async with engine.connect() as connection:
        ended = await connection.execute(_END_STUCK, {"seconds": seconds, "name": APPLICATION_NAME})
        return len(ended.all())


def _is_asyncpg(url: sa.URL) -> bool:
    return url.get_driver_name() == "asyncpg"


def _refuse_lost(connection: Any, _record: object, _proxy: object) -> None:
    if connection.driver_connection.is_closed():
        raise sa.exc.DisconnectionError
