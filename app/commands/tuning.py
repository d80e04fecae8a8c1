"""How Python runs a process that answers people for long."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# A thread that has synced the disk goes on within this time, however busy the event loop is. Python's default is 5 ms.
_SWITCH_SECONDS = 0.001
# A message makes and drops thousands of objects; Python's default looks at them after each 700 new ones.
_COLLECT_AFTER = (5_000, 20, 50)


@contextmanager
def tuned() -> Iterator[None]:
    """Run the process like this until the context ends, and collect no garbage until `settle` is called.

    Among the objects that a start makes, collecting takes a sixth of the start's time.
    """
    switch_seconds, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.disable()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_seconds)
        gc.set_threshold(*thresholds)
        gc.enable()


def settle() -> None:
    """Collect garbage from now on, among later objects only: people would wait while it looks at those of the start."""
    gc.freeze()
    gc.enable()
