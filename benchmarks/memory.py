"""P8: whether memory grows with the number of messages that a process has answered.

Run it with ``python -m benchmarks.memory``; ``--full`` answers 100 000 messages. They come from 1 000 people, each in
separate conversations, and each is accepted and answered with one tool call, on SQLite, in this process. The figure is
the growth of resident memory after the first 5 000 messages, when every person has been seen and every bounded map is
full. The last messages are answered without the cyclic collector, and afterwards no request scope may be alive.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import tempfile
from pathlib import Path

from pydantic_ai.models.function import FunctionModel

from app.main import running
from app.principal import Principal
from benchmarks.figures import Figure, show, show_figures, within
from benchmarks.growth import Load, answer_one, first_tool, settings_of
from containers.build import build
from containers.scopes import Scope
from containers.testing import use_model

PEOPLE = 1_000
WARM = 5_000  # messages that are not counted
SHORT, FULL = 10_000, 100_000  # messages in all
UNCOLLECTED = 500  # messages at the end
TURNS = 10  # of a person in one conversation, before they begin another one
_PAGE_BYTES = resource.getpagesize()
_MEGABYTE = 1024 * 1024


def _resident() -> float:
    """Return the megabytes of memory that this process occupies."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * _PAGE_BYTES / _MEGABYTE


async def measure(messages: int) -> tuple[dict[int, float], int]:
    """Return the memory in MB by number of messages, and the number of scopes that are alive at the end."""
    people = [Principal("http", "bench", f"u{number}") for number in range(PEOPLE)]
    with tempfile.TemporaryDirectory(prefix="deputy-memory-") as name:
        settings = settings_of(Path(name), Load())
        container = build(settings)
        use_model(container, FunctionModel(first_tool))
        async with running(container, settings, answers=False):
            had = {}
            for number in range(1, messages + 1):
                if number == messages - UNCOLLECTED:
                    gc.collect()
                    gc.disable()
                await answer_one(container, people[number % PEOPLE], f"c{number // (PEOPLE * TURNS)}")
                if number % WARM == 0:
                    had[number] = _resident()
            alive = sum(isinstance(each, Scope) for each in gc.get_objects())
            gc.enable()
    return had, alive


def figures(had: dict[int, float], alive: int) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    grown = max(0.0, had[max(had)] - had[WARM])
    return {
        "P8 memory after the messages, beyond that after 5 000": within(grown, 0.0, "MB", at_most=8.0),
        "P8 scopes alive after the messages, without the collector": within(alive, 0.0, "", at_most=0.0),
    }


def main(*, full: bool = False) -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    had, alive = asyncio.run(measure(FULL if full else SHORT))
    show("resident memory, MB", {"MB": {f"after {number} messages": size for number, size in had.items()}}, digits=1)
    found = figures(had, alive)
    show_figures(found)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="100 000 messages, which takes ten minutes")
    main(full=parser.parse_args().full)
