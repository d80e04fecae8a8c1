"""Run every benchmark and write benchmarks/results.json; ``python -m benchmarks.<name>`` runs one of them.

A benchmark is a module with a ``main()`` that prints its table and returns its figures. Each runs in a process of its
own, so that what one has imported does not slow the next.
"""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.figures import Figure, figures_of

BENCHMARKS = (
    "scope",
    "agent",
    "services",
    "call",
    "start",
    "idle",
    "message",
    "refresh",
    "growth",
    "assistant",
    "delivery",
)
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    figures: dict[str, Figure] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for found in processes.map(figures_of, BENCHMARKS):
            figures |= found
            RESULTS.write_text(json.dumps(figures, indent=2) + "\n")  # now: the last one takes minutes
    print(f"{RESULTS}: {sum(figure['met'] for figure in figures.values())} of {len(figures)} targets are met")


if __name__ == "__main__":
    main()
