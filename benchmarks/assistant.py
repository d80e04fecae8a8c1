"""P7: the cost of a message through Slack, over the whole path, compared with agno's AgentOS and its Slack interface.

Run it with ``python -m benchmarks.assistant``; ``--full`` takes longer at each pace. Each server runs in its own
process (with workers on PostgreSQL: several), and gets the same signed events from the same generator, with the same
forty tools and the same stub model, which makes one tool call and answers; a Slack on loopback counts the replies. Ours
stores every message before it acknowledges, runs each in a request scope, and keeps history, outbox and audit trail;
agno stores nothing before it acknowledges, and has one agent for everybody.

All share the machine's cores. A burst gives the messages per second and the CPU time of the server's processes per
message; a steady pace gives the time from when an event was due to its acknowledgement, and to its reply.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx2
import yaml

from app.sandbox.server import serve_loopback
from benchmarks.counting_slack import BOT_USER, TEAM, CountingSlack
from benchmarks.delivery import new_database, percentiles
from benchmarks.figures import Figure, against, show, show_figures, within
from benchmarks.slack_load import Posted
from benchmarks.toolkits import IMPORT_PATHS
from tests.fakes.ports import free_port
from tests.fakes.postgres import find_binaries, running_postgres

AGNO = "agno 3, Slack interface, SQLite"
SQLITE = "Deputy, SQLite"
POSTGRESQL = {"Deputy, PostgreSQL, 1 worker": 1, "Deputy, PostgreSQL, 2 workers": 2}
PACES = (20, 60, 200)  # events a second
BURST = 400
WARM = 40  # not counted: they pay for everything that is imported or prepared at first use
_PATIENCE_SECONDS = 240.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Row(NamedTuple):
    """The measurements of one server in one part, by column."""

    part: str
    name: str
    columns: Mapping[str, float]


@dataclass
class Running:
    """A server under load.

    Attributes:
        url: The address to which events are posted.
        signing_secret: The secret that signs events.
        slack: The Slack that counts its replies.
        pids: The ids of its processes.
        sent: The number of events it was sent; also makes each event's channel unique.
    """

    url: str
    signing_secret: str
    slack: CountingSlack
    pids: Sequence[int]
    sent: int = 0

    def cpu_seconds(self) -> float:
        """Return the CPU time that its processes have used so far, in user and system mode."""
        return sum(_cpu_seconds(pid) for pid in self.pids)

    def memory_mb(self) -> float:
        """Return the resident memory of its processes."""
        return sum(_memory_mb(pid) for pid in self.pids)


@dataclass
class _Processes:
    """Child processes, ended by their own ids."""

    running: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *arguments: str, folder: Path) -> int:
        log = (folder / "server.log").open("ab")
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments), stdout=log, stderr=log, cwd=folder, env=environ
        )
        log.close()
        self.running.append(process)
        return process.pid

    async def end(self) -> None:
        for process in self.running:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS  # utime and stime, proc_pid_stat(5)


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


@asynccontextmanager
async def _serving(name: str, database_url: str | None, workers: int) -> AsyncIterator[Running]:
    secret, port, slack = secrets.token_hex(8), free_port(), CountingSlack()
    processes = _Processes()
    with tempfile.TemporaryDirectory(prefix="deputy-bench-") as name_:
        folder = Path(name_)
        async with serve_loopback(slack.app) as slack_url:
            try:
                if name == AGNO:
                    database = str(folder / "agno.db")
                    await processes.start(
                        *("benchmarks.agno_server", str(port), slack_url, secret, database), folder=folder
                    )
                else:
                    config = folder / "config.yaml"
                    url = database_url or f"sqlite+aiosqlite:///{folder / 'deputy.db'}"
                    config.write_text(yaml.safe_dump(_config(folder, url, port, slack_url, secret, workers)))
                    await processes.start("benchmarks.stubbed", "serve", "--config", str(config), folder=folder)
                    await _until_answering(port, folder)
                    for _ in range(workers):
                        await processes.start("benchmarks.stubbed", "worker", "--config", str(config), folder=folder)
                await _until_answering(port, folder)
                yield Running(
                    f"http://127.0.0.1:{port}/slack/events",
                    secret,
                    slack,
                    [process.pid for process in processes.running],
                )
            finally:
                await processes.end()


def _config(
    folder: Path, database_url: str, port: int, slack_url: str, signing_secret: str, workers: int
) -> dict[str, object]:
    engine = {"engine": "procrastinate", "server_answers": False} if workers else {}
    return {
        "server": {"port": port},
        "database": {"url": database_url},
        "key_ring": {"file": str(folder / "keys.yaml")},
        "google": {"mode": "google", "client_id": CLIENT_ID, "client_secret": "none"},
        "toolkits": dict(IMPORT_PATHS),
        "agents": {"assistant": {"instructions": "You help one person.", "toolkits": list(IMPORT_PATHS)}},
        "default_agent": "assistant",
        "interfaces": {
            "slack": {"signing_secret": signing_secret, "bot_token": "xoxb-bench", "api_base_url": f"{slack_url}/api/"}
        },
        "delivery": {**engine, "backlog": 100_000},
    }


CLIENT_ID = "1-bench.apps.googleusercontent.com"


async def _until_answering(port: int, folder: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    async with httpx2.AsyncClient() as client:
        while True:
            assert time.monotonic() < end, (folder / "server.log").read_text()
            try:
                await client.get(f"http://127.0.0.1:{port}/")
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


def _event(number: int) -> dict[str, object]:
    """Return a direct message of one of 200 people, in a channel that identifies its reply."""
    ts = f"{1_790_000_000 + number}.000100"
    event: dict[str, object] = {
        "type": "message",
        "channel_type": "im",
        "channel": f"D{number:08}",
        "user": f"U{number % 200:08}",
    }
    event |= {"user": f"U{number % 200:08}", "text": "what do we have on the harbour?"}
    event |= {"ts": ts, "event_ts": ts, "team": TEAM}
    body: dict[str, object] = {"type": "event_callback", "token": "unused", "team_id": TEAM, "event": event}
    body |= {"api_app_id": "A0BENCH", "event_id": f"Ev{number:08}", "event_time": 1_790_000_000 + number}
    return body | {"authorizations": [{"team_id": TEAM, "user_id": BOT_USER, "is_bot": True}]}


async def _post(target: Running, count: int, rate: float) -> list[Posted]:
    events = [(f"D{number:08}", _event(number)) for number in range(target.sent, target.sent + count)]
    target.sent += count
    load = {"url": target.url, "signing_secret": target.signing_secret, "rate": rate, "events": events}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.slack_load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,  # the last line has them all
    )
    printed, _ = await process.communicate(json.dumps(load).encode())
    assert process.returncode == 0
    posted = [Posted(*each) for each in json.loads(printed.splitlines()[-1])["posted"]]
    assert len(posted) == count
    return posted


async def _replied(target: Running, count: int) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while len(target.slack.replies) < count:
        assert time.monotonic() < end, f"{len(target.slack.replies)} of {count} messages were answered in time"
        await asyncio.sleep(0.02)


async def _burst_row(target: Running, name: str) -> Row:
    await _post(target, WARM, 20)
    await _replied(target, target.sent)
    cpu = target.cpu_seconds()
    posted = await _post(target, BURST, 0)
    await _replied(target, target.sent)
    refused = sum(each.status != 200 for each in posted)
    took = max(target.slack.replies.values()) - min(each.due for each in posted)
    columns = {"messages/s": BURST / took, "CPU ms": (target.cpu_seconds() - cpu) / BURST * 1000}
    return Row("burst", name, {**columns, "refused": refused, "memory MB": target.memory_mb()})


async def _pace_row(target: Running, name: str, rate: int, seconds: float) -> Row:
    posted = await _post(target, int(rate * seconds), rate)
    await _replied(target, target.sent)
    columns = percentiles("ack ", [each.acknowledged - each.due for each in posted])
    columns |= percentiles("reply ", [target.slack.replies[each.name] - each.due for each in posted])
    return Row(f"{rate} a second", name, {**columns, "refused": sum(each.status != 200 for each in posted)})


async def measure(seconds: float, paces: Sequence[int] = PACES, names: Sequence[str] = ()) -> list[Row]:
    """Measure all servers or those named, and return a row for each server and part; takes some minutes."""
    binaries = find_binaries()
    if binaries is None:
        print("without PostgreSQL (apt-get install postgresql), so on SQLite alone\n")
    servers = {AGNO: 0, SQLITE: 0, **(POSTGRESQL if binaries else {})}
    rows = []
    with running_postgres(binaries) if binaries else nullcontext() as cluster:
        for name, workers in servers.items():
            if names and name not in names:
                continue
            url = await new_database(cluster) if cluster is not None and name in POSTGRESQL else None
            async with _serving(name, url, workers) as target:
                rows.append(await _burst_row(target, name))
                rows.extend([await _pace_row(target, name, rate, seconds) for rate in paces])
    return rows


def figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    by = {(row.part, row.name): row.columns for row in rows}
    found: dict[str, Figure] = {}
    agno = by["burst", AGNO]
    for name, at_most in ((SQLITE, 1 / 1.5), ("Deputy, PostgreSQL, 2 workers", 1 / 2)):
        if ("burst", name) in by:
            ours = by["burst", name]
            spent = (1000 / ours["messages/s"], 1000 / agno["messages/s"])
            found[f"P7 time a message in a burst, against agno, {name}"] = against(*spent, "ms", at_most=at_most)
            spent = (ours["CPU ms"], agno["CPU ms"])
            found[f"P7 CPU a message, against agno, {name}"] = against(*spent, "ms", at_most=0.5)
    for rate in PACES:
        if (f"{rate} a second", SQLITE) in by:
            ours_ms, agno_ms = (by[f"{rate} a second", name]["ack p99"] for name in (SQLITE, AGNO))
            found[f"P7 acknowledgement, p99, {rate} a second"] = within(ours_ms, agno_ms, "ms", at_most=50.0)
    return found


def main(seconds: float = 4.0) -> dict[str, Figure]:
    """Measure, print the tables, and return the figures."""
    rows = asyncio.run(measure(seconds))
    for part in dict.fromkeys(row.part for row in rows):
        of_part = [row for row in rows if row.part == part]
        show(part, {head: {row.name: row.columns[head] for row in of_part} for head in of_part[0].columns}, digits=1)
    found = figures(rows)
    show_figures(found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="20 seconds at each pace")
    main(20.0 if parser.parse_args().full else 4.0)
