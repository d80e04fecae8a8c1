"""P9: the time of a start, from ``deputy serve`` to the first acknowledged message.

Run it with ``python -m benchmarks.start``. Ours is a real process with HTTP and Slack configured, the real Google's
settings, and SQLite; when it prints its address it is sent a signed Slack event, and the time stops at the 200, when
the message is stored. It starts first on an empty folder (where it makes the schema and the keys), then again on the
result. The peers only import, and serve nothing:

* FastAPI and SQLAlchemy, the minimum for such a server;
* pydantic-ai with OpenAI's client and MCP, imported at once as an eager server would do.

All take turns in a random order. The figure is the median elapsed time; the CPU time of the whole process, up to its
end right after, is shown beside it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2

from app.sandbox.slack.sandbox import SlackSandbox
from benchmarks.figures import Figure, show, show_figures, within

ROUNDS = 9
OURS, AGAIN = "Deputy: on an empty folder", "Deputy: started again"
FLOOR, EAGER = "import of FastAPI and SQLAlchemy", "eager import of pydantic-ai, OpenAI and MCP"
IMPORTS = {
    FLOOR: "import fastapi, sqlalchemy.ext.asyncio",
    EAGER: "import pydantic_ai, pydantic_ai.models.openai, pydantic_ai.mcp",
}
SIGNING_SECRET = "secret of a benchmark"
CONFIG = """
server: {port: 0}
database: {url: "sqlite+aiosqlite:///%(folder)s/deputy.db"}
key_ring: {file: "%(folder)s/keys.yaml"}
google: {mode: google, client_id: 1-bench.apps.googleusercontent.com, client_secret: none}
agents:
  assistant: {instructions: You help one person., toolkits: [gmail]}
default_agent: assistant
interfaces:
  http: {}
  slack: {signing_secret: %(signing_secret)s, bot_token: xoxb-bench, api_base_url: "http://127.0.0.1:9/api/"}
"""


class Took(NamedTuple):
    """Elapsed seconds, seconds of CPU time, and peak memory in MB."""

    passed: float
    cpu: float
    memory: float


def serve(folder: Path) -> Took:
    """Start Deputy in a folder, have one message acknowledged, and end it; return the cost."""
    config = folder / "config.yaml"
    config.write_text(CONFIG % {"folder": folder, "signing_secret": SIGNING_SECRET})
    deputy = Path(sys.executable).with_name("deputy")
    return _timed([str(deputy), "serve", "--config", str(config)], _acknowledged)


def _acknowledged(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    base_url = line.removeprefix("Deputy listens on ").partition(";")[0]
    assert base_url.startswith("http://"), line
    asyncio.run(_send_message(base_url))


async def _send_message(base_url: str) -> None:
    slack = SlackSandbox(signing_secret=SIGNING_SECRET, bot_token="xoxb-bench")
    async with httpx2.AsyncClient(base_url=base_url) as client:
        event = slack.event(user="U0ADA", text="show my unread mail", channel="D0ADA")
        (await slack.post_event(client, "/slack/events", event)).raise_for_status()


def _timed(command: list[str], until: Callable[[subprocess.Popen[str]], object]) -> Took:
    """Return the cost of a process until `until` returns; then kill the process if it has not ended."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            until(process)
            passed = time.perf_counter() - begin
        finally:
            os.kill(process.pid, signal.SIGKILL)  # process.kill() may reap it, and then its usage is lost
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return Took(passed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _imported(statement: str) -> Took:
    def ended(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stdout.read() == "imported\n", statement

    return _timed([sys.executable, "-c", f"{statement}; print('imported')"], ended)


def measure() -> dict[str, Took]:
    """Return the medians of each variant; takes about two minutes."""
    took: dict[str, list[Took]] = {name: [] for name in (OURS, AGAIN, *IMPORTS)}
    turns = [OURS, *IMPORTS]
    for _ in range(ROUNDS + 1):
        random.shuffle(turns)
        for name in turns:
            if name != OURS:
                took[name].append(_imported(IMPORTS[name]))
                continue
            with tempfile.TemporaryDirectory() as folder:
                took[OURS].append(serve(Path(folder)))
                took[AGAIN].append(serve(Path(folder)))
    # Leave out the first round, which compiles missing bytecode and fills the file cache.
    return {name: Took(*map(statistics.median, zip(*each[1:], strict=True))) for name, each in took.items()}


def figures(took: dict[str, Took]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    return {
        "P9 start": within(took[AGAIN].passed, took[FLOOR].passed, "s", at_most=1.5),
        "P9 first start, on an empty folder": within(took[OURS].passed, took[FLOOR].passed, "s", at_most=1.5),
        "P9 start, beside an eager import of MCP": within(took[AGAIN].passed, took[EAGER].passed, "s", at_most=1.5),
    }


def main() -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    took = measure()
    columns = {
        "passed, s": {name: each.passed for name, each in took.items()},
        "CPU, s": {name: each.cpu for name, each in took.items()},
        "memory, MB": {name: each.memory for name, each in took.items()},
    }
    show("from deputy serve to the first acknowledged message", columns)
    found = figures(took)
    show_figures(found)
    return found


if __name__ == "__main__":
    main()
