"""An exception out of somebody's tool, in one line for the log: where it was raised, and no value."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb

_LIBRARIES = ("site-packages", "dist-packages", "asyncio", "concurrent")
_FRAMES = 6  # the innermost of the author's own


def failure(error: BaseException) -> str:
    """Return the error's class and the places in the author's own code that it passed, the innermost last.

    Its message is left out, because it may quote what the tool was given.
    """
    places = []
    for frame, line in walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if not set(_LIBRARIES) & set(path.parts) and path.parent.name != "agents":
            places.append(f"{'/'.join(path.parts[-2:])}:{line} in {frame.f_code.co_name}")
    return f"{type(error).__name__} at {' > '.join(places[-_FRAMES:]) or 'an unknown place'}"
