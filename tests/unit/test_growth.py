"""The measure of growth tells work that grows with the square of a text's length from work that does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.growth import grows_faster, repeated

_STEP_SECONDS = 0.000_001


@pytest.mark.parametrize(
    ("steps", "faster"),
    [
        (lambda length: length * length, True),
        (lambda length: length * length // 50, True),
        (lambda length: 30 * length, False),
        (lambda length: length * length.bit_length(), False),
        (lambda length: 1, False),
    ],
    ids=["square", "cheap square", "proportion", "logarithm", "nothing"],
)
def test_growth_is_told_by_the_processor_time(steps: Callable[[int], int], faster: bool) -> None:
    """Work that takes so many steps for a length, of one microsecond each."""
    clock = _Clock()

    assert grows_faster(lambda text: clock.run(steps(len(text))), repeated("x"), clock=lambda: clock.now) is faster


def test_a_disturbance_is_no_growth() -> None:
    """Four of five measurements of the longer text take a thousand times as long."""
    clock = _Clock()
    measured: list[int] = []

    def work(text: str) -> None:
        measured.append(len(text))
        disturbed = 0 < measured.count(50_000) < 5
        clock.run(len(text) * (1_000 if disturbed else 1))

    assert not grows_faster(work, repeated("x"), clock=lambda: clock.now)
    assert measured.count(50_000) == 5


class _Clock:
    """Processor time that passes with the work alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, steps: int) -> None:
        self.now += steps * _STEP_SECONDS
