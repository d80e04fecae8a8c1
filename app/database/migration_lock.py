"""The lock for migrating PostgreSQL: one process at a time, and nobody waits for one that is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import postgresql
from app.errors import SettingsError

LOCK = 0x6465_7075_7479  # "deputy" in ASCII, of PostgreSQL's advisory locks
_TRY_SECONDS = 0.1
_LOOK_SECONDS = 2.0
_STUCK_SECONDS = 30.0  # between two statements, a migration takes a fraction of a second
_PATIENT = sa.text("SET LOCAL lock_timeout = 0")
_TRY = sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))

# The session that holds the lock without doing anything; the activity of another role's sessions is hidden.
# https://www.postgresql.org/docs/current/view-pg-locks.html
_IDLE = sa.text("""
    SELECT pid, usename, coalesce(host(client_addr), 'its own machine') AS place
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
      AND (classid::bigint << 32 | objid::bigint) = :lock AND objsubid = 1
      AND (state_change IS NULL OR wait_event = 'ClientRead'
           AND state_change < clock_timestamp() - make_interval(secs => :seconds))
""")


@asynccontextmanager
async def to_migrate(url: sa.URL) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction in which this process alone migrates; its statements have no time limit.

    If another process is migrating, wait until it has finished, without a time limit. Before and during the wait, end
    every transaction in which a Deputy process has stopped doing anything: its machine may be gone, and there may be no
    other process yet to end it.

    Raises:
        SettingsError: A session holds the lock, does nothing, and could not be ended.
    """
    await _end_stuck(url)
    stop = asyncio.Event()
    ending = asyncio.create_task(_keep_ending(url, stop))
    try:
        async with postgresql.own_connection(url, patient=True) as connection, connection.begin():
            await connection.execute(_PATIENT)
            await _take(connection, url)
            yield connection
    finally:
        stop.set()  # not cancelled: a connection that is just being opened would stay open
        await asyncio.wait([ending])


async def _take(connection: AsyncConnection, url: sa.URL) -> None:
    began, looked = time.monotonic(), time.monotonic()
    while not await connection.scalar(_TRY):
        if time.monotonic() - looked >= _LOOK_SECONDS:
            looked = time.monotonic()
            if looked - began >= _STUCK_SECONDS and not await postgresql.end_stuck(url, _STUCK_SECONDS):
                await _refuse_idle(url)
        await asyncio.sleep(_TRY_SECONDS)


async def _refuse_idle(url: sa.URL) -> None:
    async with postgresql.own_connection(url) as connection:  # a transaction would not see others' current activity
        idle = (await connection.execute(_IDLE, {"lock": LOCK, "seconds": _STUCK_SECONDS})).one_or_none()
    if idle is not None:
        raise SettingsError(
            f"the database cannot be migrated: its session {idle.pid}, of {idle.usename} from {idle.place}, blocks "
            "everybody and does nothing. Find out what it belongs to, and end it: "
            f"SELECT pg_terminate_backend({idle.pid})"
        )


async def _end_stuck(url: sa.URL) -> None:
    with suppress(sa.exc.SQLAlchemyError, OSError):  # the migration fails with the same error, and reports it
        await postgresql.end_stuck(url, _STUCK_SECONDS)


async def _keep_ending(url: sa.URL, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await stop.wait()
                return
        await _end_stuck(url)
