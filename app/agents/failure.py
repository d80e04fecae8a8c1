"""Faults of somebody's tool, in one line for the log: where it was raised, and no value."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb

from pydantic_ai.messages import tool_return_ta
from pydantic_core import PydanticSerializationError

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


def is_sendable(result: object) -> bool:
    """Return whether a tool's result can be written as JSON; if not, sending it to the model would end the run."""
    try:
        tool_return_ta.dump_json(result)
    except (PydanticSerializationError, ValueError, RecursionError):  # ValueError: it contains itself
        return False
    return True
