"""The distributed engine: procrastinate on PostgreSQL, for any number of processes on any number of machines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import procrastinate
import psycopg
from procrastinate import jobs
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from psycopg import conninfo

from app.database.database import APPLICATION_NAME, Database
from app.delivery.engine import WorkOff
from app.delivery.supervisor import Supervisor, guarded
from app.errors import SettingsError
from app.messages import ConversationKey

log = logging.getLogger(__name__)

SCHEMA = "procrastinate"  # of its own in the database, so that its tables and ours do not meet
_TASK = "work_off"
_SCHEMA_LOCK = 0x70726F63  # "proc" in ASCII: one process at a time makes the schema
_POLL_SECONDS = 0.2  # nobody wakes for a job whose lock has just been let go
_LONG_AGO = datetime.fromtimestamp(0, UTC)  # at once, whatever this machine's clock says


class ProcrastinateEngine:
    """Wakes conversations through a queue that all processes share; lives as long as the process.

    A job says which conversation, and nothing else. Its lock is the conversation, so that no two run at a time; its
    queueing lock merges wake-ups that still wait. One that arrives while the conversation is in hands waits for its
    turn, so none is lost after the last look. A job of a worker that died is taken up by those that live.
    """

    def __init__(self, database: Database, supervisor: Supervisor, *, concurrency: int, lease_seconds: float) -> None:
        self._conninfo = postgresql_conninfo(database)
        self._supervisor = supervisor
        self._concurrency = concurrency
        self._stalled_seconds = lease_seconds  # without a heartbeat for so long, a worker is taken for dead
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=self._conninfo, min_size=1, max_size=4, kwargs={"options": f"-c search_path={SCHEMA}"}
            )
        )
        self._work_off: WorkOff | None = None
        self._app.task(name=_TASK)(self._run)

    async def wake(self, conversation: ConversationKey) -> None:
        """Put the conversation into the queue, unless it waits there already."""
        lock = _lock(conversation)
        deferrer = self._app.configure_task(_TASK, lock=lock, queueing_lock=lock)
        try:
            await deferrer.defer_async(**asdict(conversation))
        except AlreadyEnqueued:
            return
        except ConnectorException as error:
            # The row is stored, so the scan wakes it; whoever wrote need not hear of it.
            log.warning("a wake-up waits for the next scan: %s", type(error).__name__)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Connect, with the queue's tables made where there are none.

        Raises:
            SettingsError: The database cannot be reached.
        """
        try:
            await self._make_schema()
            await self._app.open_async()
        except (psycopg.Error, ConnectorException) as error:
            raise SettingsError(f"delivery.engine: procrastinate cannot be opened ({type(error).__name__})") from None
        try:
            yield
        finally:
            await self._app.close_async()

    @asynccontextmanager
    async def running(self, work_off: WorkOff, grace_seconds: float) -> AsyncIterator[None]:
        """Take conversations from the queue, and take over what dead workers left."""
        self._work_off = work_off
        stopping = asyncio.Event()

        async def fetch() -> None:
            if not stopping.is_set():
                await self._app.run_worker_async(
                    concurrency=self._concurrency,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=_POLL_SECONDS,
                    update_heartbeat_interval=self._stalled_seconds / 5,
                    stalled_worker_timeout=self._stalled_seconds,
                    shutdown_graceful_timeout=grace_seconds,
                    delete_jobs="always",
                )

        async with self._supervisor.keeping(engine=fetch, stalled_jobs=self._take_over):
            try:
                yield
            finally:
                stopping.set()

    async def _run(self, platform: str, tenant: str, conversation: str) -> None:
        """The job. It does not fail: what is left undone is found by the scan."""
        assert self._work_off is not None
        key = ConversationKey(platform, tenant, conversation)
        await guarded("working a conversation off", self._work_off(key))

    async def _take_over(self) -> None:
        while True:
            await asyncio.sleep(self._stalled_seconds / 4)
            await guarded("taking over stalled jobs", self._take_over_once())

    async def _take_over_once(self) -> None:
        manager = self._app.job_manager
        await manager.prune_stalled_workers(self._stalled_seconds)
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled_seconds):
            assert job.id is not None
            try:
                await manager.retry_job_by_id_async(job.id, retry_at=_LONG_AGO)
            except UniqueViolation:  # the same conversation waits in the queue already
                await manager.finish_job_by_id_async(job.id, jobs.Status.FAILED, delete_job=True)
            except ConnectorException:
                continue  # another process was quicker

    async def _make_schema(self) -> None:
        """Make procrastinate's tables once; several processes that start together take turns."""
        async with await psycopg.AsyncConnection.connect(self._conninfo) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            await connection.execute(f"SET LOCAL search_path TO {SCHEMA}")
            made = await connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.procrastinate_jobs",))
            if (await made.fetchone()) == (None,):
                await connection.execute(self._app.schema_manager.get_schema())


def postgresql_conninfo(database: Database) -> str:
    """Where a database is, in the words of PostgreSQL's own library.

    Raises:
        SettingsError: It is no PostgreSQL.
    """
    url = database.url
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            "delivery.engine: procrastinate needs database.url of a PostgreSQL, such as"
            " postgresql+asyncpg://deputy@db.example/deputy"
        )
    options: dict[str, str | int | None] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "dbname": url.database,
        "application_name": APPLICATION_NAME,  # so that its transactions do not outlive a process that stands still
    }
    query = {name: str(value) for name, value in url.query.items()}
    if ssl := query.pop("ssl", None):
        query["sslmode"] = ssl  # asyncpg's name for it
    return conninfo.make_conninfo("", password=url.password, **options, **query)


def _lock(conversation: ConversationKey) -> str:
    """A name for the conversation of fixed length, of which no two are alike."""
    return hashlib.blake2b(json.dumps(list(asdict(conversation).values())).encode(), digest_size=24).hexdigest()
