"""Behaviours that delivery requires of every engine, tested on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest
import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from app.database.database import Database
from app.delivery.engines.engine import Engine, open_engine
from app.delivery.engines.procrastinate import ProcrastinateEngine, _lock, postgresql_conninfo
from app.messages import ConversationKey
from app.supervisor import Supervisor
from tests.fakes.core_server import until
from tests.fakes.databases import PostgresServer

ONE, OTHER = (ConversationKey("slack", "T0TEAM", name) for name in ("one", "other"))


class Hands:
    """Processes conversations by calling `before`, and records which ones.

    Attributes:
        begun: The conversations that were begun, in order.
        now: The conversations in progress.
        most: The highest number of runs of one conversation that were in progress at once.
        before: Awaited for each conversation; does nothing by default.
    """

    def __init__(self) -> None:
        self.begun: list[ConversationKey] = []
        self.now: list[ConversationKey] = []
        self.most = 0
        self.before: Callable[[ConversationKey], Awaitable[object]] = lambda _: asyncio.sleep(0)

    async def __call__(self, conversation: ConversationKey) -> None:
        """Process a conversation."""
        self.begun.append(conversation)
        self.now.append(conversation)
        self.most = max(self.most, self.now.count(conversation))
        try:
            await self.before(conversation)
        finally:
            self.now.remove(conversation)


@pytest.fixture(params=["embedded", pytest.param("procrastinate", marks=pytest.mark.system)])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Yield an engine that accepts hints."""
    async with AsyncExitStack() as stack:
        url = "sqlite+aiosqlite:///never-opened.db"
        if request.param == "procrastinate":
            server: PostgresServer = request.getfixturevalue("postgres")
            url = await (await stack.enter_async_context(server.databases())).empty("queue")
        engine = open_engine(
            request.param, Supervisor(pause_seconds=0.01), Database(url), concurrency=4, lease_seconds=30
        )
        await stack.enter_async_context(engine.opened())
        yield engine


async def test_what_was_woken_before_the_start_is_worked_off(engine: Engine) -> None:
    """Conversations that are woken before the engine runs are each begun at least once when it runs."""
    hands = Hands()
    for conversation in (ONE, OTHER, ONE):
        await engine.wake(conversation)
    async with engine.running(hands, 1):
        await until(lambda: set(hands.begun) == {ONE, OTHER})


async def test_a_wake_up_while_it_is_in_hands_is_not_lost(engine: Engine) -> None:
    """A conversation that is woken while it is in progress is begun once more afterwards."""
    hands, gate = Hands(), asyncio.Event()
    hands.before = lambda _: gate.wait()
    async with engine.running(hands, 1):
        await engine.wake(ONE)
        await until(lambda: hands.now)
        await engine.wake(ONE)
        await asyncio.sleep(0.3)  # long enough to be begun, if it could be
        begun = list(hands.begun)
        gate.set()
        await until(lambda: len(hands.begun) == 2)

    assert begun == [ONE]
    assert hands.most == 1


async def test_conversations_are_worked_off_side_by_side(engine: Engine) -> None:
    """A conversation that takes long does not delay another one."""
    hands, gate = Hands(), asyncio.Event()
    hands.before = lambda conversation: gate.wait() if conversation == ONE else asyncio.sleep(0)
    async with engine.running(hands, 1):
        await engine.wake(ONE)
        await until(lambda: hands.now)
        for _ in range(3):
            await engine.wake(OTHER)
            await until(lambda: OTHER not in hands.now and OTHER in hands.begun)

        assert hands.now == [ONE]
        gate.set()


async def test_no_two_of_a_conversation_in_a_storm(engine: Engine) -> None:
    """A conversation that is woken many times runs once at a time, and is begun again after its last wake-up."""
    hands = Hands()
    hands.before = lambda _: asyncio.sleep(0.005)
    async with engine.running(hands, 1):
        await asyncio.gather(*(engine.wake(each) for each in [ONE, OTHER] * 20))
        begun = len(hands.begun)
        for each in (ONE, OTHER):
            await engine.wake(each)
        await until(lambda: {ONE, OTHER} <= set(hands.begun[begun:]) and not hands.now)

    assert hands.most == 1


async def test_work_that_fails_stops_nothing(engine: Engine) -> None:
    """An error in one conversation neither stops the engine nor prevents that conversation from being begun again."""
    hands = Hands()

    async def fail(_: ConversationKey) -> None:
        raise RuntimeError

    hands.before = fail
    async with engine.running(hands, 1):
        for times in (1, 2):
            await engine.wake(ONE)
            await until(lambda times=times: hands.begun.count(ONE) >= times)  # type: ignore[misc]


async def test_at_the_end_what_is_begun_may_finish_and_nothing_is_begun(engine: Engine) -> None:
    """At shutdown, work in progress may finish within the grace period; later wake-ups wait for the next start."""
    hands, ended = Hands(), []

    async def work(conversation: ConversationKey) -> None:
        await engine.wake(OTHER)
        await asyncio.sleep(0.3)
        ended.append(conversation)

    async with engine.running(hands, 5):
        hands.before = work
        await engine.wake(ONE)
        await until(lambda: hands.now)
    begun = list(hands.begun)
    hands.before = lambda _: asyncio.sleep(0)
    async with engine.running(hands, 1):
        await until(lambda: OTHER in hands.begun)

    assert ended[0] == ONE
    assert begun.count(ONE) == 1


async def test_after_the_grace_work_is_cancelled(engine: Engine) -> None:
    """After the grace period, work that does not end is cancelled, so that the process can end."""
    hands, cancelled = Hands(), []

    async def never(conversation: ConversationKey) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(conversation)
            raise

    hands.before = never
    async with asyncio.timeout(30), engine.running(hands, 0.1):
        await engine.wake(ONE)
        await until(lambda: hands.now)

    assert cancelled == [ONE]
    assert hands.now == []


async def test_a_job_whose_end_could_not_be_stored_holds_its_conversation_for_a_while_only(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process itself releases a conversation whose job still looks running because its end could not be stored."""
    hands = Hands()
    failed: list[int | None] = []
    finish = JobManager.finish_job

    async def fail_once(self: JobManager, job: Job, status: Status, delete_job: bool) -> None:
        if not failed:
            failed.append(job.id)
            raise ConnectorException
        await finish(self, job, status, delete_job)

    monkeypatch.setattr(JobManager, "finish_job", fail_once)
    async with postgres.databases() as databases:
        url = await databases.empty("queue")
        engine = open_engine("procrastinate", Supervisor(), Database(url), concurrency=2, lease_seconds=1)
        async with engine.opened(), engine.running(hands, 1):
            for times in (1, 2):
                await engine.wake(ONE)
                await until(lambda times=times: hands.begun.count(ONE) >= times)  # type: ignore[misc]

    assert failed


async def test_work_outlives_a_fault_of_the_queue(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """When fetching a job fails, work in progress continues, and the engine fetches jobs again afterwards."""
    hands, gate = Hands(), asyncio.Event()
    hands.before = lambda conversation: gate.wait() if conversation == ONE else asyncio.sleep(0)
    supervisor, fetch, faults = Supervisor(pause_seconds=0.01), JobManager.fetch_job, [ConnectorException()]

    async def fail_once(self: JobManager, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        if hands.now and faults:
            raise faults.pop()
        return await fetch(self, queues, worker_id)

    monkeypatch.setattr(JobManager, "fetch_job", fail_once)
    async with postgres.databases() as databases:
        url = await databases.empty("queue")
        engine = open_engine("procrastinate", supervisor, Database(url), concurrency=4, lease_seconds=30)
        async with engine.opened(), engine.running(hands, 1):
            await engine.wake(ONE)
            await until(lambda: supervisor.restarts["engine"] == 1)
            await engine.wake(OTHER)
            await until(lambda: OTHER in hands.begun and OTHER not in hands.now)

            assert hands.now == [ONE]
            gate.set()


async def test_an_end_is_obeyed_in_the_middle_of_a_question_to_the_queue(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Procrastinate turns a cancellation into an error of its own; the engine ends anyway and starts no more work."""
    asked: list[str] = []

    async def hang(*_: object, **__: object) -> None:
        asked.append("once")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if len(asked) == 1:
                raise ConnectorException from None
            raise

    async with postgres.databases() as databases:
        url = await databases.empty("queue")
        engine = open_engine(
            "procrastinate", Supervisor(pause_seconds=0.01), Database(url), concurrency=2, lease_seconds=1
        )
        async with asyncio.timeout(10), engine.opened():
            monkeypatch.setattr(JobManager, "get_stalled_jobs", hang)
            async with engine.running(Hands(), 0):
                await engine.wake(ONE)
                await until(lambda: asked)
            once = len(asked)

    assert once == len(asked) == 1


async def test_two_processes_share_a_queue(postgres: PostgresServer) -> None:
    """With procrastinate, two processes both work, and never on the same conversation."""
    hands = Hands()
    hands.before = lambda _: until(lambda: here and there)  # each holds what it took until both have some
    conversations = [ConversationKey("slack", "T0TEAM", str(number)) for number in range(12)]
    here: list[ConversationKey] = []
    there: list[ConversationKey] = []

    @asynccontextmanager
    async def process(url: str, took: list[ConversationKey]) -> AsyncIterator[Engine]:
        async def work_off(conversation: ConversationKey) -> None:
            took.append(conversation)
            await hands(conversation)

        engine = open_engine("procrastinate", Supervisor(), Database(url), concurrency=2, lease_seconds=30)
        async with engine.opened(), engine.running(work_off, 1):
            yield engine

    async with postgres.databases() as databases:
        url = await databases.empty("queue")
        async with process(url, here) as engine, process(url, there):
            for conversation in conversations * 2:
                await engine.wake(conversation)
            await until(lambda: set(hands.begun) == set(conversations) and not hands.now)

    assert here
    assert there
    assert hands.most == 1


@pytest.mark.system
async def test_processes_that_wake_the_same_conversations_lose_no_wake_up(postgres: PostgresServer) -> None:
    """Processes that each wake several conversations in one transaction, in different orders, do not deadlock."""
    middle, first, second = (ConversationKey("slack", "T0TEAM", name) for name in ("middle", "first", "second"))
    orders = [(ONE, middle, OTHER, first), (OTHER, middle, ONE, second)]
    async with AsyncExitStack() as stack:
        url = await (await stack.enter_async_context(postgres.databases())).empty("queue")
        database = Database(url)
        stack.push_async_callback(database.close)
        engines = [
            ProcrastinateEngine(database, Supervisor(pause_seconds=0.01), concurrency=1, lease_seconds=30)
            for _ in orders
        ]
        await stack.enter_async_context(engines[0].opened())
        queue = await psycopg.AsyncConnection.connect(postgresql_conninfo(database))
        await stack.enter_async_context(queue)
        await queue.execute("SET search_path TO procrastinate")
        await queue.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock) VALUES (%s, %s, %s)",
            ("default", "work_off", _lock(middle)),
        )
        await stack.enter_async_context(engines[1].opened())
        for engine, order in zip(engines, orders, strict=True):
            for conversation in order:
                await engine.wake(conversation)

        async def all_wait() -> bool:
            held = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            async with database.reading() as connection:
                return bool((await connection.execute(sa.text(held))).scalar_one() == len(orders))

        async def all_are_woken() -> bool:
            async with database.reading() as connection:
                jobs = await connection.execute(sa.text("SELECT lock FROM procrastinate.procrastinate_jobs"))
                return {*jobs.scalars()} == {_lock(each) for order in orders for each in order}

        await until(all_wait)
        await queue.rollback()
        await until(all_are_woken)
