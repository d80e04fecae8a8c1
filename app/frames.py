"""The frames that an error leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames


@contextmanager
def frames_emptied() -> Iterator[None]:
    """Empty the frames that an error, or a cancellation, has passed through inside the block.

    Libraries keep the error in a variable of one of them. That is a cycle, and everything that the frames hold,
    personal objects included, would stay in memory until the garbage collector runs.
    """
    try:
        yield
    except BaseException as error:
        clear_frames(error.__traceback__)
        raise
