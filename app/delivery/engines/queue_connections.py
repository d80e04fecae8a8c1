"""The connections of procrastinate's queue: none waits for ever, and none costs a round trip before each statement."""

from __future__ import annotations

import select
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg_pool import AsyncConnectionPool

from app.database.postgresql import ANSWER_SECONDS


class QueueConnection(psycopg.AsyncConnection[Any]):
    """Closes itself if the server does not answer: psycopg waits as long as the kernel sees a connection."""

    async def wait(self, gen: PQGen[RV], interval: float = ANSWER_SECONDS, timeout: float | None = None) -> RV:
        """Wait for the server's answer, at most `ANSWER_SECONDS`.

        psycopg's own interval wakes an idle process ten times a second, so that Ctrl-C is noticed between two waits;
        the event loop notices it anyway.
        """
        try:
            return await super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:  # not while it only listens
                self.pgconn.finish()
            raise


def queue_pool(**arguments: Any) -> AsyncConnectionPool[Any]:
    """Return procrastinate's pool, which asks no connection whether it is alive before each of its statements."""
    return AsyncConnectionPool(**{**arguments, "check": _check})


async def _check(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raise if a connection is lost: only if something has arrived on it, because it is idle and nothing is due.

    Raises:
        psycopg.OperationalError: It is lost.
    """
    arrived = select.poll()
    arrived.register(connection.fileno(), select.POLLIN)
    if arrived.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def autocommit(connection: psycopg.AsyncConnection[Any]) -> None:
    """Make each of procrastinate's statements its own transaction, so none is open between two of them."""
    await connection.set_autocommit(True)
