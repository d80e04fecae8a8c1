"""The measure of growth tells quadratic work from work that grows more slowly with a text's length."""

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
    """Only work that grows with the square of the length is measured as growing faster."""
    clock = _Clock()

    assert grows_faster(lambda text: clock.run(steps(len(text))), repeated("x"), clock=lambda: clock.now) is faster


def test_a_disturbance_is_no_growth() -> None:
    """Disturbances in four of five measurements do not make a longer text count as slower."""
    clock = _Clock()
    measured: list[int] = []

    def work(text: str) -> None:
        measured.append(len(text))
        disturbed = 0 < measured.count(50_000) < 5
        clock.run(len(text) * (1_000 if disturbed else 1))

    assert not grows_faster(work, repeated("x"), clock=lambda: clock.now)
    assert measured.count(50_000) == 5


class _Clock:
    """Processor time that passes only with the work."""

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, steps: int) -> None:
        self.now += steps * _STEP_SECONDS
