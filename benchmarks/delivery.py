"""P6: the time from webhook to acknowledgement, and how fast and how soon messages are answered.

Run it with ``python -m benchmarks.delivery``; ``--full`` takes the target's whole minute and a burst of 2 000. Real
processes: `deputy serve`, `deputy worker`, PostgreSQL, a load generator and a Slack on loopback, all on the same cores.
A message is an agent run with one tool call that takes 5 to 20 ms, over 200 conversations. Each part is measured on
every layout in turn (on SQLite alone if PostgreSQL is not installed), and on ``benchmarks/bare_server.py``:

* the webhook at 200 messages a second. Every acknowledged message must be a row: rows are counted once a second and at
  the end. To measure acknowledgement alone, messages that do not end keep the worker busy;
* delivery at 20 messages a second: from the acknowledgement to the start of the run, and to the post at Slack;
* delivery of a burst: messages a second.
"""

from __future__ import annotations

import argparse
import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.delivery_target import Target, answered, bare_target, our_target, post
from benchmarks.figures import Figure, show, show_figures, within
from tests.delivery.deployment import Layout
from tests.delivery.preloaded import preloaded
from tests.fakes.postgres import Cluster, find_binaries, running_postgres

RATE, PACE = 200, 20  # messages a second
TARGET_MS = 50.0

BARE = "bare: a route, a loop without tables"
SQLITE = "SQLite, one process"
LAYOUTS = {
    SQLITE: Layout(),
    "PostgreSQL, one process": Layout(),
    "PostgreSQL, 1 worker": Layout("procrastinate", workers=1, server_answers=False),
    "PostgreSQL, 2 workers": Layout("procrastinate", workers=2, server_answers=False),
    "PostgreSQL, 3 workers": Layout("procrastinate", workers=3, server_answers=False),
}
HELD = {SQLITE: "SQLite, acknowledgement alone", "PostgreSQL, one process": "PostgreSQL, acknowledgement alone"}

WEBHOOK, DELIVERY = "webhook to acknowledgement", "delivery"


class Row(NamedTuple):
    """The measurements of one layout in one part, by column: milliseconds, messages a second, or a count."""

    part: str
    name: str
    columns: Mapping[str, float]


@dataclass(frozen=True)
class Size:
    """The amount to post in each part."""

    webhook_seconds: float
    paced: int
    burst: int


SHORT = Size(webhook_seconds=5, paced=100, burst=300)
FULL = Size(webhook_seconds=60, paced=400, burst=2000)


async def measure(size: Size = SHORT) -> list[Row]:
    """Measure all layouts, and return a row for each layout and part; takes some minutes."""
    binaries = find_binaries()
    if binaries is None:
        print("without PostgreSQL (apt-get install postgresql), so on SQLite alone\n")
    rows = []
    with running_postgres(binaries) if binaries else nullcontext() as cluster, preloaded() as process:
        async with bare_target() as bare:
            rows += [Row(WEBHOOK, BARE, await webhook_row(bare, "/bare", size))]
            rows += [Row(DELIVERY, BARE, await delivery_row(bare, size))]
        for name, layout in LAYOUTS.items():
            if cluster is None and name != SQLITE:
                continue
            if name in HELD:
                async with our_target(process, await _database_of(cluster, name), layout, held=True) as ours:
                    rows += [Row(WEBHOOK, HELD[name], await webhook_row(ours, "/slack/events", size))]
            async with our_target(process, await _database_of(cluster, name), layout) as ours:
                rows += [Row(WEBHOOK, name, await webhook_row(ours, "/slack/events", size))]
            async with our_target(process, await _database_of(cluster, name), layout) as ours:
                rows += [Row(DELIVERY, name, await delivery_row(ours, size))]
    return rows


def figures(rows: list[Row]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    found: dict[str, Figure] = {}
    bare = next(row.columns["p99"] for row in rows if (row.part, row.name) == (WEBHOOK, BARE))
    for row in rows:
        if row.part == WEBHOOK and row.name != BARE:
            figure = within(row.columns["p99"], bare, "ms", at_most=TARGET_MS)
            figure["met"] &= not row.columns["refused"]
            found[f"P6 webhook, p99, {row.name}"] = figure
    return found


async def webhook_row(target: Target, path: str, size: Size) -> dict[str, float]:
    """Return how long acknowledgements take, in milliseconds, while the processes do all their other work."""
    posted = await post(target, path, int(RATE * size.webhook_seconds), RATE)
    took = [each.acknowledged - each.due for each in posted]
    return {**percentiles("", took), "max": max(took) * 1000, "refused": sum(each.status != 200 for each in posted)}


async def delivery_row(target: Target, size: Size) -> dict[str, float]:
    """Return how soon messages are begun and answered at a steady pace, and how many a second in a burst."""
    paced = await post(target, "/slack/events", size.paced, PACE)
    await answered(target, size.paced)
    acknowledged = {each.name: each.acknowledged for each in paced}
    begun = {run.name: run.began for run in target.record.runs()}
    told = target.posts.answered()
    burst = await post(target, "/slack/events", size.burst, 0)
    await answered(target, size.paced + size.burst)
    seconds = max(target.posts.times) - min(each.due for each in burst)
    return {
        **percentiles("start ", [begun[name] - at for name, at in acknowledged.items()]),
        **percentiles("answer ", [told[name] - at for name, at in acknowledged.items()]),
        **percentiles("ack burst ", [each.acknowledged - each.due for each in burst]),
        "messages/s": size.burst / seconds,
    }


def percentiles(what: str, seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds, as ``{what}p50`` and ``{what}p99``."""
    ordered = sorted(seconds)
    return {f"{what}p{part}": ordered[min(len(ordered) - 1, len(ordered) * part // 100)] * 1000 for part in (50, 99)}


async def _database_of(cluster: Cluster | None, layout: str) -> str | None:
    """Return the address of an empty database, or None for a layout on SQLite."""
    return None if cluster is None or layout == SQLITE else await new_database(cluster)


async def new_database(cluster: Cluster) -> str:
    """Create an empty database, which is deleted with the cluster, and return its address."""
    name = f"bench_{uuid.uuid4().hex}"
    engine = create_async_engine(f"{cluster.url}/postgres", isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"CREATE DATABASE {name}"))
    finally:
        await engine.dispose()
    return f"{cluster.url}/{name}"


def main(size: Size = SHORT) -> dict[str, Figure]:
    """Measure, print the tables, and return the figures."""
    rows = asyncio.run(measure(size))
    for part in (WEBHOOK, DELIVERY):
        of_part = [row for row in rows if row.part == part]
        columns = {head: {row.name: row.columns[head] for row in of_part} for head in of_part[0].columns}
        show(part, columns, digits=1)
    found = figures(rows)
    show_figures(found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="a minute at the target's rate, and a burst of 2 000")
    main(FULL if parser.parse_args().full else SHORT)
