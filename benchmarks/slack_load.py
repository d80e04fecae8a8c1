"""Posts signed events to a webhook at a steady rate, or as fast as it accepts them, and reports the times.

Run by ``benchmarks.delivery`` in a separate process: the load is read from standard input, and the results are written
to standard output, one JSON object per line: ``{"acknowledged"}`` once a second, and ``{"posted"}`` at the end. An
event's time begins when it was due, so the waiting time at a server that falls behind counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, NamedTuple

import aiohttp

from app.sandbox.slack.sandbox import SlackSandbox

_AT_ONCE = 24  # posts in progress in a burst


class Posted(NamedTuple):
    """The result of one event; times are in seconds of the monotonic clock. A status of 0 means no answer."""

    name: str
    due: float
    acknowledged: float
    status: int


async def post_all(load: dict[str, Any]) -> None:
    """Post the events of a load ``{"url", "signing_secret", "rate", "events"}``; a rate of 0 is a burst."""
    slack = SlackSandbox(signing_secret=load["signing_secret"], bot_token="nobody")
    bodies = [(name, json.dumps(event).encode()) for name, event in load["events"]]
    posted: list[Posted] = []
    slots = asyncio.Semaphore(_AT_ONCE if not load["rate"] else len(bodies))

    async def post(name: str, body: bytes, due: float) -> None:
        headers = {"Content-Type": "application/json", **slack.sign(body, time.time())}
        try:
            async with client.post(load["url"], data=body, headers=headers) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        finally:
            slots.release()
        posted.append(Posted(name, due, time.monotonic(), status))

    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=100)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as client,
        asyncio.TaskGroup() as tasks,
    ):
        begin, told = time.monotonic(), time.monotonic()
        for number, (name, body) in enumerate(bodies):
            await slots.acquire()
            due = begin + number / load["rate"] if load["rate"] else time.monotonic()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.create_task(post(name, body, due))
            if time.monotonic() - told > 1:
                told = time.monotonic()
                _say(acknowledged=sum(each.status == 200 for each in posted))
    _say(posted=posted)


def _say(**words: object) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    asyncio.run(post_all(json.load(sys.stdin)))
