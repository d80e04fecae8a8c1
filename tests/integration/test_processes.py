"""Real processes that are stopped, killed or frozen in the middle of a message: it is still answered exactly once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

from app.cli import cli
from app.database.tables import messages
from app.delivery.work.worker import INTERRUPTED
from app.sandbox.slack.posts import Post
from tests.fakes.chat_server import ChatServer, chat_server
from tests.fakes.core_server import until
from tests.fakes.databases import PostgresServer
from tests.fakes.environment import Environment, open_environment
from tests.fakes.ports import free_port
from tests.fakes.processes import DeputyProcess, deputy_process, write_config
from tests.fakes.server import PATIENCE_SECONDS, direct, user

ATTEMPTS = 3
QUICK = {"scan_seconds": 0.2, "lease_seconds": 5.0, "grace_seconds": 20.0}


@dataclass
class Host:
    """A machine on which processes run, and the Slack and the model that they call.

    Attributes:
        gate: While it is not set, the model does not answer prompts that begin with "wait".
    """

    folder: Path
    environment: Environment
    model: ChatServer
    database_url: str
    gate: asyncio.Event

    def config(self, name: str, **delivery: Any) -> Path:
        """Write a configuration for one process, and return its path."""
        path = self.folder / f"{name}.yaml"
        settings = {**QUICK, **delivery}
        return write_config(
            path, self.environment, self.model.settings, self.database_url, port=free_port(), **settings
        )

    async def say(self, process: DeputyProcess, name: str, text: str) -> None:
        """Write to the assistant in Slack, in the direct chat."""
        slack = self.environment.slack
        event = slack.event(user=user(name), text=text, channel=direct(name))
        (await slack.post_event(process.client, "/slack/events", event)).raise_for_status()

    def posts(self, name: str) -> list[Post]:
        """Return the posts in a person's direct chat."""
        return [post for post in self.environment.slack.posts if post.channel == direct(name)]

    async def rows(self) -> list[sa.Row[Any]]:
        """Return every message's row, in order."""
        engine = create_async_engine(self.database_url)
        try:
            async with engine.connect() as connection:
                return list(await connection.execute(sa.select(messages).order_by(messages.c.created_at)))
        finally:
            await engine.dispose()

    async def holder(self, *processes: DeputyProcess) -> tuple[DeputyProcess, DeputyProcess]:
        """Return which of two processes runs the only running message, and the other one."""
        await until(lambda: self.model.asked)
        (row,) = [row for row in await self.rows() if row.state == "running"]
        pid = int(row.lease_holder.split(":")[1])
        one, other = processes
        return (one, other) if one.pid == pid else (other, one)


@asynccontextmanager
async def _open_host(folder: Path, database_url: str) -> AsyncIterator[Host]:
    async with open_environment(folder) as environment, chat_server() as model:
        host = Host(folder, environment, model, database_url, asyncio.Event())

        async def wait(prompt: str) -> None:
            if prompt.startswith("wait"):
                await host.gate.wait()

        model.before_answer = wait
        try:
            yield host
        finally:
            host.gate.set()


@pytest.fixture
async def host(tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[Host]:
    """Yield a host whose processes use PostgreSQL."""
    async with postgres.databases() as databases, _open_host(tmp_path, await databases.empty("deputy")) as host:
        yield host


@pytest.fixture
async def small_host(tmp_path: Path) -> AsyncIterator[Host]:
    """Yield a host whose processes use an SQLite file."""
    async with _open_host(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'deputy.db'}") as host:
        yield host


@asynccontextmanager
async def _two_servers(host: Host) -> AsyncIterator[tuple[DeputyProcess, DeputyProcess]]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(
            deputy_process("serve", host.config("one", engine="procrastinate", concurrency=2))
        )
        other = await stack.enter_async_context(
            deputy_process("serve", host.config("other", engine="procrastinate", concurrency=2))
        )
        yield one, other


def _told(host: Host, name: str, *texts: str) -> Callable[[], bool]:
    return lambda: [post.text for post in host.posts(name)] == list(texts)


async def test_a_killed_process_message_is_answered_by_the_other(host: Host) -> None:
    """After kill -9 in the middle of a message another replica answers it, in order, and each reply is posted once."""
    async with _two_servers(host) as processes:
        await host.say(processes[0], "ada", "wait first")
        dying, living = await host.holder(*processes)
        await dying.end(signal.SIGKILL)
        await host.say(living, "ada", "second")
        await host.say(living, "grace", "hello")
        await until(_told(host, "grace", "you said hello"))
        host.gate.set()
        await until(_told(host, "ada", "you said wait first", "you said second"))
        rows = await host.rows()

    assert [(row.state, row.attempt, row.interruptions) for row in rows] == [
        ("done", 2, 1),
        ("done", 1, 0),
        ("done", 1, 0),
    ]


async def test_a_frozen_process_finishes_nothing_that_was_taken_over(host: Host) -> None:
    """A process that was frozen past its lease changes nothing when it wakes up; the other one has answered."""
    async with _two_servers(host) as processes:
        await host.say(processes[0], "ada", "wait long")
        frozen, _ = await host.holder(*processes)
        frozen.send(signal.SIGSTOP)
        try:
            await until(lambda: len(host.model.asked) == 2)
            host.gate.set()
            await until(_told(host, "ada", "you said wait long"))
        finally:
            frozen.send(signal.SIGCONT)
        await host.say(frozen, "grace", "hello")
        await until(_told(host, "grace", "you said hello"))
        await asyncio.sleep(1)
        rows = await host.rows()

    assert [(row.state, row.attempt) for row in rows] == [("done", 2), ("done", 1)]
    assert _told(host, "ada", "you said wait long")()


async def test_sigterm_hands_over_what_is_not_finished(host: Host) -> None:
    """A message that does not finish within the grace period is handed to another replica at once."""
    async with AsyncExitStack() as stack:
        shared = {"engine": "procrastinate", "grace_seconds": 0.5, "lease_seconds": 60.0}
        processes = [
            await stack.enter_async_context(deputy_process(command, host.config(command, **shared)))
            for command in ("serve", "worker")
        ]
        await host.say(processes[0], "ada", "wait long")
        leaving, staying = await host.holder(*processes)
        assert await leaving.end(signal.SIGTERM) == 0
        await until(lambda: len(host.model.asked) == 2)
        host.gate.set()
        await until(_told(host, "ada", "you said wait long"))

    assert staying.pid != leaving.pid


async def test_sigterm_lets_what_is_begun_finish_and_says_so(small_host: Host) -> None:
    """After SIGTERM a server is not ready, still stores messages, finishes what is running, and exits with 0."""
    host = small_host
    config = host.config("serve")
    async with deputy_process("serve", config) as server:
        await host.say(server, "ada", "wait first")
        await until(lambda: host.model.asked)
        server.send(signal.SIGTERM)
        while (ready := await server.client.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.01)
        await host.say(server, "grace", "hello")
        host.gate.set()
        code = await asyncio.wait_for(server.running.wait(), PATIENCE_SECONDS)
    told = [post.text for post in host.posts("ada")]
    async with deputy_process("serve", config):
        await until(_told(host, "grace", "you said hello"))

    assert (ready.status_code, ready.json()["why"], code) == (503, "stopping", 0)
    assert told == ["you said wait first"]


async def test_after_a_kill_the_embedded_engine_goes_on_at_once(small_host: Host) -> None:
    """A server restarted on the same machine does not wait for the leases of the process that was killed."""
    host = small_host
    config = host.config("serve", lease_seconds=60.0)
    async with deputy_process("serve", config) as server:
        await host.say(server, "ada", "wait first")
        await until(lambda: host.model.asked)
        await server.end(signal.SIGKILL)
    host.gate.set()
    async with deputy_process("serve", config):
        await until(_told(host, "ada", "you said wait first"))


async def test_a_message_that_kills_its_process_is_given_up_alone(small_host: Host) -> None:
    """A message that kills each of its processes is given up after the maximum of attempts; Grace's are answered."""
    host, deaths = small_host, list[int]()
    config = host.config("serve", attempts=ATTEMPTS)
    dying: DeputyProcess

    async def kill(prompt: str) -> None:
        if prompt == "poison":
            if not deaths:
                await until(lambda: "wait for it" in [asked.prompt for asked in host.model.asked])
            deaths.append(dying.pid)
            dying.send(signal.SIGKILL)
        if prompt in ("poison", "wait for it") and not host.gate.is_set():
            await host.gate.wait()

    host.model.before_answer = kill
    for start in range(ATTEMPTS + 1):
        async with deputy_process("serve", config) as dying:
            if start == 0:
                await host.say(dying, "grace", "wait for it")
                await host.say(dying, "ada", "poison")
            if start == 1:
                host.gate.set()
            if start < ATTEMPTS:
                assert await asyncio.wait_for(dying.running.wait(), PATIENCE_SECONDS) == -signal.SIGKILL
            else:
                await until(lambda: host.posts("ada"))
                await host.say(dying, "ada", "hello again")
                await host.say(dying, "grace", "and now?")
                await until(_told(host, "grace", "you said wait for it", "you said and now?"))
                await until(lambda: len(host.posts("ada")) == 2)
    beside, poison = (await host.rows())[:2]

    assert len(set(deaths)) == len(deaths) == ATTEMPTS
    assert (poison.state, poison.interruptions) == ("failed", ATTEMPTS)
    assert [post.text.startswith(INTERRUPTED) for post in host.posts("ada")] == [True, False]
    assert (beside.state, beside.interruptions) == ("done", 1)


async def test_two_embedded_processes_on_one_database_are_refused(small_host: Host) -> None:
    """A second embedded process does not start, and `deputy check` names the first and the settings for sharing."""
    host = small_host
    async with deputy_process("serve", host.config("one")) as server:
        checked, own = [
            await asyncio.to_thread(CliRunner().invoke, cli, ["check", "--config", str(config)])
            for config in (host.config("two"), host.folder / "one.yaml")
        ]
        with pytest.raises(AssertionError, match="ended before it was at work"):
            async with deputy_process("serve", host.folder / "two.yaml"):
                pass

    assert checked.exit_code == 2, checked.output
    assert f":{server.pid}:" in checked.output
    assert "engine: procrastinate" in checked.output
    assert own.exit_code == 0, own.output
