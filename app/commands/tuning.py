"""How Python runs a process that answers people for long."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A message makes and drops thousands of objects; Python's default looks at them after each 700 new ones.
_COLLECT_AFTER = (5_000, 20, 50)


@contextmanager
def tuned() -> Iterator[None]:
    """Run the process like this until the context ends, and collect no garbage until `settle` is called.

    Among the objects that a start makes, collecting takes a sixth of the start's time.
    """
    thresholds = gc.get_threshold()
    gc.disable()
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.enable()


def settle() -> None:
    """Collect garbage from now on, among later objects only: people would wait while it looks at those of the start."""
    gc.freeze()
    gc.enable()
