"""A deployment for the chaos suite: a Slack that stays up, and Deputy processes that are killed."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from app.sandbox.server import serve_loopback
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox
from tests.delivery.badge import RECORD
from tests.delivery.ledger import Ledger
from tests.delivery.posting import Posting
from tests.delivery.preloaded import Preloaded
from tests.delivery.processes import Deputy, end_all
from tests.delivery.record import Record, Run
from tests.delivery.script import Script, write_script
from tests.delivery.verdict import Evidence, Verdict, judge
from tests.fakes.ports import free_port

SETTLE_SECONDS = 180.0


@dataclass(frozen=True)
class Layout:
    """The processes of a deployment.

    Attributes:
        engine: The name of the engine.
        servers: The number of `deputy serve` processes.
        workers: The number of `deputy worker` processes; none with the embedded engine.
        server_answers: Whether the servers answer messages too.
    """

    engine: str = "embedded"
    servers: int = 1
    workers: int = 0
    server_answers: bool = True


@dataclass(frozen=True)
class Load:
    """The number of messages written, and the number of kills in the meantime."""

    messages: int
    conversations: int
    repeated: int
    kills: int


SHORT = Load(messages=200, conversations=20, repeated=20, kills=4)
WHOLE = Load(messages=2000, conversations=200, repeated=200, kills=20)


@dataclass
class Deployment:
    """The servers and workers of a scenario, the Slack that posts to them, and the records of what happens.

    Attributes:
        record: The runs that the badge toolkit recorded.
    """

    seed: int
    script: Script
    signing_secret: str
    slack: SlackSandbox
    record: Record
    ledger: Ledger
    posting: Posting
    servers: Sequence[Deputy]
    workers: Sequence[Deputy]
    allowed: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    @property
    def deputies(self) -> list[Deputy]:
        """Return every process."""
        return [*self.servers, *self.workers]

    def allow(self, messages: int) -> None:
        """Let people write this many more messages."""
        for _ in range(messages):
            self.allowed.release()

    async def settled(self, patience_seconds: float = SETTLE_SECONDS) -> bool:
        """Return True once every message is finished and answered, or False after this long without any progress."""
        before, end = None, time.monotonic()
        while (now := (len(self.posting.acknowledged), await self.ledger.undone())) != (len(self.script.lines), 0):
            if now != before:
                before, end = now, time.monotonic() + patience_seconds
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.05)
        return True

    async def until_begun(self, runs: int) -> None:
        """Return once this many runs have begun."""
        await self.until(lambda: len(self.record.runs()) >= runs)

    async def begun(self, name: str) -> Run:
        """Return the first run of a message, once there is one."""
        await self.until(lambda: any(run.name == name for run in self.record.runs()))
        return next(run for run in self.record.runs() if run.name == name)

    async def answered(self, name: str) -> None:
        """Return once Slack has the answer to a message."""
        await self.until(lambda: self.answers(name) > 0)

    def answers(self, name: str) -> int:
        """Return the number of answers to a message that Slack has."""
        return sum(f"answer to {name} " in post.text for post in self.slack.posts)

    async def until_refused(self) -> None:
        """Return once the webhook has answered 503."""
        await self.until(lambda: self.posting.outcomes["503"] > 0)

    async def until(self, look: Callable[[], bool]) -> None:
        """Return once `look` returns True."""
        end = time.monotonic() + SETTLE_SECONDS
        while not look():
            assert time.monotonic() < end, f"nothing goes on: {self.describe()}"
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Stop every process as an operator would, so that nothing is in progress any more."""
        await asyncio.gather(*(deputy.stop() for deputy in self.deputies))

    async def judge(self) -> Verdict:
        """Return the verdict on everything that has happened."""
        absences = {pid: at for deputy in self.deputies for pid, at in deputy.absences.items()}
        wakes = {pid: at for deputy in self.deputies for pid, at in deputy.wakes.items()}
        rows, changes = await self.ledger.rows(), await self.ledger.changes()
        return judge(self.script, Evidence(self.record.runs(), absences, self.slack.posts, rows, changes, wakes))

    def describe(self) -> str:
        """Return a one-line summary of what happened, in figures."""
        kills = sum(deputy.kills for deputy in self.deputies)
        return (
            f"seed {self.seed}: {len(self.script.lines)} messages, {kills} killed, {len(self.record.runs())} runs, "
            f"{len(self.slack.posts)} posts, webhook {dict(self.posting.outcomes)}"
        )


@asynccontextmanager
async def open_deployment(
    preloaded: Preloaded,
    folder: Path,
    database_url: str,
    layout: Layout,
    load: Load,
    *,
    seed: int,
    fault: str | None = None,
    posts: list[Post] | None = None,
    **delivery: Any,
) -> AsyncIterator[Deployment]:
    """Start every process, and yield the deployment once all are ready, before anything is written.

    Args:
        preloaded: The process that others are forked from.
        folder: For keys, configurations and logs.
        database_url: An empty database.
        layout: The processes to start.
        load: The messages to write.
        seed: Determines everything random, apart from the machine's own timing.
        fault: A fault to plant in every process.
        posts: A list to which the bot's posts are added.
        delivery: Keys of the section `delivery` that differ from the suite's defaults.
    """
    random_ = random.Random(seed)
    script = write_script(random_, messages=load.messages, conversations=load.conversations, repeated=load.repeated)
    signing_secret, bot_token = secrets.token_hex(16), f"xoxb-{secrets.token_hex(16)}"
    slack = SlackSandbox(signing_secret=signing_secret, bot_token=bot_token, posts=posts)
    async with AsyncExitStack() as stack:
        ledger = Ledger(database_url)
        stack.push_async_callback(ledger.close)
        await ledger.open()
        record = Record(folder / "record")
        slack_url = await stack.enter_async_context(serve_loopback(slack.app))
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=10))

        environ = {RECORD: str(record.path)}

        slack_settings = {
            "signing_secret": signing_secret,
            "bot_token": bot_token,
            "api_base_url": f"{slack_url}/api/",
        }

        def deputy(command: str, number: int) -> Deputy:
            port = free_port()
            config = _config(folder, port, database_url, slack_settings, _delivery(layout) | delivery)
            url = config["server"]["public_url"]
            return Deputy(f"{command}-{number}", command, config, folder, url, preloaded, environ, fault)

        servers = [deputy("serve", number) for number in range(layout.servers)]
        workers = [deputy("worker", number) for number in range(layout.workers)]
        posting = Posting(slack, [server.url for server in servers], client, random_)
        stack.push_async_callback(end_all, [*servers, *workers])
        await asyncio.gather(*(each.start() for each in (*servers, *workers)))
        yield Deployment(seed, script, signing_secret, slack, record, ledger, posting, servers, workers)


def _config(
    folder: Path, port: int, database_url: str, slack: Mapping[str, str], delivery: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of one process, which has a port of its own."""
    return {
        "server": {"port": port, "public_url": f"http://127.0.0.1:{port}"},
        "database": {"url": database_url},
        "key_ring": {"file": str(folder / "keys.yaml")},
        "google": {
            "mode": "google",
            "client_id": "nobody.apps.googleusercontent.com",
            "client_secret": secrets.token_hex(8),
        },
        "toolkits": {"badge": "tests.delivery.badge:BadgeToolkit"},
        "agents": {"assistant": {"toolkits": ["badge"], "history_turns": 100}},
        "default_agent": "assistant",
        "interfaces": {"slack": {**slack}},
        "delivery": {**delivery},
    }


def _delivery(layout: Layout) -> dict[str, Any]:
    return {
        "engine": layout.engine,
        "server_answers": layout.server_answers,
        "concurrency": 8,
        "scan_seconds": 0.5,
        "lease_seconds": 5,  # how long nobody can claim what a killed process held
    }


@asynccontextmanager
async def writing(deployment: Deployment) -> AsyncIterator[None]:
    """Let people write as much as they are allowed to; on leaving, write the rest and wait until it is acknowledged."""
    posting = asyncio.create_task(deployment.posting.post(deployment.script, deployment.allowed))
    try:
        yield
        deployment.allow(len(deployment.script.lines))
        async with asyncio.timeout(SETTLE_SECONDS):
            await posting
    finally:
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)


async def run_with_kills(deployment: Deployment, load: Load) -> None:
    """Let everything be written and answered, while processes are killed and started again.

    The messages are written in one part more than there are kills; each kill happens while its part is being processed.
    """
    random_ = random.Random(f"kills of {deployment.seed}")
    part = load.messages // (load.kills + 1)
    async with writing(deployment):
        for _ in range(load.kills):
            begun = len(deployment.record.runs())
            deployment.allow(part)
            await deployment.until_begun(begun + random_.randint(1, max(1, part * 3 // 4)))
            await asyncio.sleep(random_.uniform(0, 0.03))  # at any line, not only where a run has begun
            victims = _choose(deployment, random_)
            await asyncio.gather(*(victim.kill() for victim in victims))
            await asyncio.gather(*(victim.start() for victim in victims))


async def run_with_outage(deployment: Deployment, load: Load, outage: Callable[[], Awaitable[None]]) -> None:
    """Let everything be written and answered, with an outage once some messages are being processed."""
    async with writing(deployment):
        deployment.allow(load.messages)
        await deployment.until_begun(load.messages // 10)
        await outage()


def _choose(deployment: Deployment, random_: random.Random) -> list[Deputy]:
    """Return a server, a worker, or one of each."""
    server = random_.choice(deployment.servers)
    if not deployment.workers:
        return [server]
    worker = random_.choice(deployment.workers)
    return random_.choice([[server], [worker], [server, worker]])
