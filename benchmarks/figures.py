"""Functions that benchmarks share: timing variants in turn, and the figures of benchmarks/results.json."""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from typing import ParamSpec, TypedDict, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Batch = Callable[[int], Awaitable[None]]
"""Does what is measured so many times."""


class Figure(TypedDict):
    """A measurement, and whether the target was met.

    Attributes:
        ours: Deputy's value.
        peer: The peer's value.
        ratio: Ours divided by the peer's; None if the peer's is zero.
        unit: The unit of `ours` and `peer`.
        target: The most that is allowed: of `ratio` if the figure's name has ``against``, otherwise of `ours`.
        met: Whether the target was met.
    """

    ours: float
    peer: float
    ratio: float | None
    unit: str
    target: float
    met: bool


def figures_of(name: str) -> dict[str, Figure]:
    """Run one benchmark in this process, and return its figures."""
    figures: dict[str, Figure] = import_module(f"benchmarks.{name}").main()
    return figures


def elsewhere(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function of a module in a new process, with the current environment, and return its result."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as process:
        return process.submit(function, *args, **kwargs).result()


def against(ours: float, peer: float, unit: str, *, at_most: float) -> Figure:
    """Return a figure whose target is a multiple of the peer's value."""
    return _figure(ours, peer, unit, at_most, ours / peer <= at_most)


def within(ours: float, peer: float, unit: str, *, at_most: float) -> Figure:
    """Return a figure with an absolute target; the peer's value is only shown beside it."""
    return _figure(ours, peer, unit, at_most, ours <= at_most)


def _figure(ours: float, peer: float, unit: str, target: float, met: bool) -> Figure:
    ratio = _rounded(ours / peer) if peer else None
    return Figure(ours=_rounded(ours), peer=_rounded(peer), ratio=ratio, unit=unit, target=target, met=met)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def repeat(once: Callable[[], Awaitable[object]]) -> Batch:
    """Return a batch that calls this repeatedly."""

    async def batch(times: int) -> None:
        for _ in range(times):
            await once()

    return batch


async def in_turn(
    variants: Mapping[str, tuple[Batch, int]], *, rounds: int, clock: Callable[[], int] = time.thread_time_ns
) -> dict[str, float]:
    """Return the median microseconds that each variant takes for one repetition.

    All run in this process, in a random order each round, after one batch that is not measured.

    Args:
        variants: The batch of each variant, and its number of repetitions per round, by name.
        rounds: The number of rounds.
        clock: Returns nanoseconds, by default of this thread's CPU time.
    """
    took: dict[str, list[float]] = {name: [] for name in variants}
    for batch, times in variants.values():
        await batch(times)
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            batch, times = variants[name]
            begin = clock()
            await batch(times)
            took[name].append((clock() - begin) / times / 1000)
    return {name: statistics.median(each) for name, each in took.items()}


def show(title: str, columns: Mapping[str, Mapping[str, float]], *, digits: int = 2) -> None:
    """Print a table with a title, a line for each variant and a number for each column."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    width = max(len(title), *map(len, names)) + 2
    print(f"{title:{width}}" + "".join(f"{head:>14}" for head in columns))
    for name in names:
        cells = (f"{column[name]:14.{digits}f}" if name in column else f"{'':14}" for column in columns.values())
        print(f"{name:{width}}" + "".join(cells))
    print()


def show_figures(figures: Mapping[str, Figure]) -> None:
    """Print each figure with its target."""
    for name, figure in figures.items():
        value, unit = (figure["ratio"], "x") if "against" in name else (figure["ours"], figure["unit"])
        print(
            f"{name}: {value or 0:g} {unit}, target {figure['target']:g} {unit}: {'met' if figure['met'] else 'MISSED'}"
        )
    print()
