"""The targets of ``benchmarks.delivery``: Deputy's processes in a layout, and the bare server, each with its Slack."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.sandbox.server import serve_loopback
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox
from benchmarks.slack_load import Posted
from tests.delivery.badge import RECORD, gate
from tests.delivery.deployment import Layout, Load, open_deployment
from tests.delivery.ledger import Ledger
from tests.delivery.preloaded import Preloaded
from tests.delivery.record import ANSWER, Record
from tests.delivery.script import write_script
from tests.fakes.ports import free_port

CONVERSATIONS = 200
CONCURRENCY = 16
_PATIENCE_SECONDS = 300.0


class TimedPosts(list[Post]):
    """The bot's posts, with the time of each by the monotonic clock."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def append(self, post: Post) -> None:
        super().append(post)
        self.times.append(time.monotonic())

    def answered(self) -> dict[str, float]:
        """Return the time at which each message was answered."""
        answers = ((ANSWER.fullmatch(post.text), at) for post, at in zip(self, self.times, strict=True))
        return {match["name"]: at for match, at in answers if match is not None}


@dataclass
class Target:
    """A server that accepts events.

    Attributes:
        url: The server's address.
        slack: The Slack that it posts to.
        signing_secret: The secret that signs events.
        posts: The bot's posts in its Slack.
        record: The record of its runs.
        ledger: Its rows, or None if it has none.
        posted: The number of messages it was sent.
    """

    url: str
    slack: SlackSandbox
    signing_secret: str
    posts: TimedPosts
    record: Record
    ledger: Ledger | None
    posted: int = 0


async def post(target: Target, path: str, count: int, rate: float) -> list[Posted]:
    """Post new messages from another process, asserting meanwhile that every acknowledged message is stored."""
    before, target.posted = target.posted, target.posted + count
    script = write_script(random.Random(1), messages=target.posted, conversations=CONVERSATIONS, repeated=0)
    lines = sorted(script.lines.values(), key=lambda line: int(line.name[1:]))[before:]
    events = [(line.name, line.event(target.slack)) for line in lines]
    load = {"url": target.url + path, "signing_secret": target.signing_secret, "rate": rate, "events": events}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.slack_load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,  # the last line has them all
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(load).encode())
    process.stdin.close()
    posted: list[Posted] = []
    async for line in process.stdout:
        said = json.loads(line)
        posted = [Posted(*each) for each in said.get("posted", ())]
        acknowledged = said.get("acknowledged") or sum(each.status == 200 for each in posted)
        if target.ledger is not None:
            stored = await target.ledger.stored() - before
            assert stored >= acknowledged, f"{acknowledged} messages were acknowledged and {stored} stored"
    assert await process.wait() == 0
    assert len(posted) == count
    return posted


async def answered(target: Target, count: int) -> None:
    """Return when this many messages were answered."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while len(target.posts) < count:
        assert time.monotonic() < end, f"{len(target.posts)} of {count} messages were answered in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def our_target(
    process: Preloaded, database_url: str | None, layout: Layout, *, held: bool = False
) -> AsyncIterator[Target]:
    """Yield Deputy's processes on an empty database.

    Args:
        process: The process that others are forked from.
        database_url: None for an SQLite file.
        layout: The processes to start.
        held: Whether runs never end, so that the processes do nothing but acknowledge.
    """
    with tempfile.TemporaryDirectory(prefix="deputy-bench-") as name:
        folder = Path(name)
        for number in range(CONVERSATIONS if held else 0):
            gate(folder / "record", f"m{number:04}").touch()
        url = database_url or f"sqlite+aiosqlite:///{folder / 'deputy.db'}"
        nothing = Load(messages=1, conversations=1, repeated=0, kills=0)  # the benchmark posts its own messages
        async with open_deployment(
            *(process, folder, url, layout, nothing),
            seed=1,
            posts=(posts := TimedPosts()),
            concurrency=CONCURRENCY,
            backlog=1_000_000,
            scan_seconds=5,
            grace_seconds=1,
        ) as up:
            yield Target(up.servers[0].url, up.slack, up.signing_secret, posts, up.record, up.ledger)


@asynccontextmanager
async def bare_target() -> AsyncIterator[Target]:
    """Yield the bare server, with which Deputy is compared."""
    secret, token, port = secrets.token_hex(8), f"xoxb-{secrets.token_hex(8)}", free_port()
    posts = TimedPosts()
    slack = SlackSandbox(signing_secret=secret, bot_token=token, posts=posts)
    with tempfile.TemporaryDirectory(prefix="deputy-bench-") as folder:
        record = Record(Path(folder) / "record")
        async with serve_loopback(slack.app) as slack_url:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.bare_server", str(port), token, f"{slack_url}/api/"),
                env={**os.environ, RECORD: str(record.path)},
            )
            try:
                url = f"http://127.0.0.1:{port}"
                await _until_ready(f"{url}/readyz")
                yield Target(url, slack, secret, posts, record, None)
            finally:
                process.terminate()
                await process.wait()


async def _until_ready(url: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    async with httpx2.AsyncClient() as client:
        while True:
            assert time.monotonic() < end, "the bare server did not start"
            try:
                await client.get(url)
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
