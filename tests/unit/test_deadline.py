"""The deadline of a message."""

from __future__ import annotations

from app.deadline import Deadline


def test_what_remains_goes_down_to_zero_and_no_further() -> None:
    """The remaining time shrinks with the deadline's clock and is never negative."""
    clock = [100.0]
    deadline = Deadline.after(5.0, now=lambda: clock[0])

    assert deadline.remaining() == 5.0
    clock[0] = 103.0
    assert deadline.remaining() == 2.0
    clock[0] = 200.0
    assert deadline.remaining() == 0.0


def test_a_time_out_is_clipped_to_what_remains() -> None:
    """A shorter time-out stays as it is, and a longer one is cut to the remaining time."""
    deadline = Deadline.after(5.0, now=lambda: 0.0)

    assert deadline.clip(3.0) == 3.0
    assert deadline.clip(30.0) == 5.0
