"""Durations in words."""

from __future__ import annotations

import pytest

from app.durations import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (29, "a few seconds"),
        (31, "a minute"),
        (89, "a minute"),
        (91, "2 minutes"),
        (3_300, "55 minutes"),
        (3_590, "an hour"),
        (3_600, "an hour"),
        (7_100, "2 hours"),
        (86_400, "a day"),
        (3 * 86_400, "3 days"),
    ],
)
def test_a_duration_is_said_in_its_largest_unit(seconds: float, words: str) -> None:
    """A duration is rounded, and never worded as "60 minutes" or "0 minutes"."""
    assert in_words(seconds) == words
