"""The measure of growth tells work that grows with the square of a text's length from work that does not."""

from __future__ import annotations

import re

from tests.fakes.growth import grows_faster, repeated


def test_the_square_is_noticed() -> None:
    """A pattern that begins again at every space."""
    assert grows_faster(re.compile(" +x").search, repeated(" "), 15_000)


def test_what_is_in_proportion_passes() -> None:
    """A pattern that looks at every space once."""
    assert not grows_faster(re.compile(" x").search, repeated(" "), 15_000)
