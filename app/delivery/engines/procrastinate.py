"""The distributed engine: procrastinate on PostgreSQL, for any number of processes on any number of machines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice

import procrastinate
import psycopg
import sqlalchemy as sa
from procrastinate import jobs
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.worker import Worker
from psycopg import conninfo
from sqlalchemy.dialects import postgresql

from app.database.database import Database
from app.database.postgresql import ANSWER_SECONDS, APPLICATION_NAME, LOCK_TIMEOUT, libpq_limits
from app.database.prepared import Prepared
from app.delivery.engines.engine import WorkOff
from app.delivery.engines.queue_connections import QueueConnection, autocommit, queue_pool
from app.errors import SettingsError
from app.messages import ConversationKey
from app.supervisor import Rounds, Supervisor, cancel, guarded

log = logging.getLogger(__name__)

SCHEMA = "procrastinate"  # a separate schema in the database, so that its tables and ours cannot clash
_TASK = "work_off"
_SCHEMA_LOCK = 0x70726F63  # "proc" in ASCII: one process at a time makes the schema
# No notification comes for a job whose lock has just been released, so a process polls while it runs jobs.
_POLL_SECONDS = 0.2
_POLL_IDLE_SECONDS = 15.0
_IDLE_AFTER_SECONDS = 1.0  # since the last job
_LAST_WAKE_UPS_SECONDS = 2.0  # at the end; a scan finds the wake-ups that are left then
_WOKEN_AT_ONCE = 100  # conversations, in one statement
_LONG_AGO = datetime.fromtimestamp(0, UTC)  # means at once, even if this machine's clock is wrong

# What procrastinate does to defer a job, for several at once, and without an error for those that wait already. Jobs
# get their ids, by which they are fetched, in the order of the wake-ups; they are inserted in the order of their locks,
# because processes that insert the same ones in different orders would wait for each other. The triggers of its table
# name other tables without their schema.
_WAKE = Prepared(
    sa.text("""
        INSERT INTO procrastinate.procrastinate_jobs (id, queue_name, task_name, lock, queueing_lock, args)
        SELECT woken.id, 'default', 'work_off', woken.lock, woken.lock, woken.args
        FROM set_config('search_path', 'procrastinate', true), (
            SELECT nextval('procrastinate.procrastinate_jobs_id_seq') AS id, lock, args
            FROM unnest(:locks, :args) AS given(lock, args)
        ) AS woken
        ORDER BY woken.lock
        ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
    """).bindparams(
        sa.bindparam("locks", type_=postgresql.ARRAY(sa.Text)),
        sa.bindparam("args", type_=postgresql.ARRAY(postgresql.JSONB)),
    )
)


class ProcrastinateEngine:
    """Wakes conversations through a queue that all processes share; lives as long as the process.

    A job names its conversation, and nothing else. Its lock is the conversation, so no two jobs of one run at a time;
    its queueing lock merges wake-ups that still wait. A wake-up that arrives while a job runs waits until that job
    ends, so none is lost after the worker's last look. Living workers take over the jobs of one that died.

    If the queue fails, running work goes on without its job, and the rows keep the order.
    """

    def __init__(self, database: Database, supervisor: Supervisor, *, concurrency: int, lease_seconds: float) -> None:
        self._database = database
        self._conninfo = postgresql_conninfo(database)
        self._rounds = Rounds()
        self._supervisor = supervisor
        self._concurrency = concurrency
        self._stalled_seconds = lease_seconds  # a worker without a heartbeat for this long is presumed dead
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                conninfo=self._conninfo,
                min_size=1,
                max_size=4,
                timeout=ANSWER_SECONDS,  # to get a connection of the pool
                connection_class=QueueConnection,
                kwargs={"options": f"-c search_path={SCHEMA} -c lock_timeout={LOCK_TIMEOUT}"},
                configure=autocommit,
                pool_factory=queue_pool,
            )
        )
        self._to_wake: dict[ConversationKey, None] = {}  # in the order of their first wake-up
        self._any_to_wake = asyncio.Event()
        self._work_off: WorkOff | None = None
        self._at_work: set[asyncio.Task[bool]] = set()
        self._jobs: set[int] = set()  # the jobs that run here
        self._worker: Worker | None = None
        self._worker_id: int | None = None  # the worker id that fetched the last job
        self._leaked: set[int] = set()  # jobs that this worker has fetched according to the queue, but does not run
        self._app.task(name=_TASK, pass_context=True)(self._run)

    async def wake(self, conversation: ConversationKey) -> None:
        """Have the conversation put into the queue right after this call, so that the caller need not wait for it."""
        self._to_wake[conversation] = None
        self._any_to_wake.set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Connect, and create the queue's tables if they do not exist.

        Raises:
            SettingsError: The database cannot be reached.
        """
        try:
            await self._make_schema()
            await self._app.open_async()
        except (psycopg.Error, ConnectorException) as error:
            raise SettingsError(f"delivery.engine: procrastinate cannot be opened ({type(error).__name__})") from None
        try:
            async with self._supervisor.keeping(wake_ups=self._wake_all):
                yield
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WAKE_UPS_SECONDS):
                    await self._wake_waiting()
        finally:
            await self._app.close_async()

    @asynccontextmanager
    async def running(self, work_off: WorkOff, grace_seconds: float) -> AsyncIterator[None]:
        """Call `work_off` for queued conversations until the context ends, and take over jobs of dead workers."""
        self._work_off = work_off

        async def fetch() -> None:
            self._worker = Worker(
                self._app,
                concurrency=self._concurrency,
                install_signal_handlers=False,
                fetch_job_polling_interval=_POLL_IDLE_SECONDS,
                update_heartbeat_interval=self._stalled_seconds / 3,
                stalled_worker_timeout=self._stalled_seconds,
                shutdown_graceful_timeout=0,  # for the queue's loop; running work gets the grace period below
                delete_jobs="always",
            )
            await self._worker.run()  # type: ignore[no-untyped-call]  # the library's is not annotated

        try:
            async with self._supervisor.keeping(engine=fetch, stalled_jobs=self._take_over):
                yield
        finally:
            if self._at_work:
                await asyncio.wait(self._at_work, timeout=grace_seconds)
            await cancel(self._at_work)

    async def _wake_all(self) -> None:
        while True:
            await self._any_to_wake.wait()
            await self._rounds.run("waking conversations", self._wake_waiting())

    async def _wake_waiting(self) -> None:
        """Put the conversations to wake into the queue, unless they wait there already."""
        self._any_to_wake.clear()
        while self._to_wake:
            some = [*islice(self._to_wake, _WOKEN_AT_ONCE)]
            for conversation in some:
                del self._to_wake[conversation]
            given = {"locks": [*map(_lock, some)], "args": [asdict(conversation) for conversation in some]}
            try:
                await self._database.change(_WAKE, given)
            except sa.exc.SQLAlchemyError as error:  # the rows are stored, so the scan wakes them
                log.warning("%d wake-ups wait for the next scan: %s", len(some), type(error).__name__)

    async def _run(self, context: procrastinate.JobContext, platform: str, tenant: str, conversation: str) -> None:
        """Run a job. It never fails: a scan finds what is left undone."""
        assert self._work_off is not None
        assert context.job.id is not None
        key = ConversationKey(platform, tenant, conversation)
        work = asyncio.create_task(guarded("answering a conversation", self._work_off(key)))
        self._at_work.add(work)
        work.add_done_callback(self._at_work.discard)
        self._jobs.add(context.job.id)
        self._worker_id = context.job.worker_id
        self._set_polling()
        try:
            await asyncio.shield(work)
        finally:
            self._jobs.discard(context.job.id)
            asyncio.get_running_loop().call_later(_IDLE_AFTER_SECONDS, self._set_polling)

    def _set_polling(self) -> None:
        """Poll often while jobs run here, and for a while after."""
        if self._worker is not None:
            self._worker.fetch_job_polling_interval = _POLL_SECONDS if self._jobs else _POLL_IDLE_SECONDS

    async def _take_over(self) -> None:
        while True:
            await asyncio.sleep(self._stalled_seconds / 2)
            await self._rounds.run("taking over stalled jobs", self._take_over_once())

    async def _take_over_once(self) -> None:
        manager = self._app.job_manager
        await manager.prune_stalled_workers(self._stalled_seconds)
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled_seconds):
            assert job.id is not None
            try:
                await manager.retry_job_by_id_async(job.id, retry_at=_LONG_AGO)
            except UniqueViolation:  # the same conversation waits in the queue already
                await self._delete(job.id)
            except ConnectorException:
                continue  # another process was quicker
        await self._delete_leaked()

    async def _delete_leaked(self) -> None:
        """Delete jobs whose end could not be stored; while this worker lives no other would, and locks would stay."""
        if self._worker_id is None:
            return
        status = jobs.Status.DOING.value
        fetched = await self._app.job_manager.list_jobs_async(status=status, worker_id=self._worker_id)
        leaked = {job.id for job in fetched if job.id is not None} - self._jobs
        for job_id in leaked & self._leaked:  # seen twice, because the first time its end may just be being stored
            await self._delete(job_id)
        self._leaked = leaked

    async def _delete(self, job_id: int) -> None:
        await self._app.job_manager.finish_job_by_id_async(job_id, jobs.Status.FAILED, delete_job=True)

    async def _make_schema(self) -> None:
        """Create procrastinate's tables once; processes that start at the same time take turns."""
        async with await psycopg.AsyncConnection.connect(self._conninfo) as connection:  # in one transaction
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            await connection.execute(f"SET LOCAL search_path TO {SCHEMA}")
            made = await connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.procrastinate_jobs",))
            if (await made.fetchone()) == (None,):
                await connection.execute(self._app.schema_manager.get_schema())


def postgresql_conninfo(database: Database) -> str:
    """Return a database's address as a connection string of libpq.

    Raises:
        SettingsError: The database is not PostgreSQL.
    """
    url = database.url
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            "delivery.engine: procrastinate needs PostgreSQL; set database.url, for example to"
            " postgresql+asyncpg://deputy@db.example/deputy"
        )
    options: dict[str, str | int | None] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "dbname": url.database,
        "application_name": APPLICATION_NAME,  # other processes end transactions of a process with it that hangs
        **libpq_limits(),
    }
    query = {name: str(value) for name, value in url.query.items()}
    if ssl := query.pop("ssl", None):
        query["sslmode"] = ssl  # asyncpg's name for it
    return conninfo.make_conninfo("", password=url.password, **{**options, **query})


def _lock(conversation: ConversationKey) -> str:
    """Return a name of fixed length for the conversation, different for each."""
    return hashlib.blake2b(json.dumps(list(asdict(conversation).values())).encode(), digest_size=24).hexdigest()
