"""Waits for a tool of agno's, and puts what goes wrong into words for the model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from app.agno_bridge.confinement import ConfinedError
from app.deadline import Deadline
from app.errors import DeputyError, ToolError


async def called(name: str, call: Awaitable[Any], deadline: Deadline) -> Any:
    """Return the result of a call.

    Args:
        name: The tool's name, as the model knows it.
        call: The call, which has not begun.
        deadline: The message's deadline; nobody waits longer for a tool.

    Raises:
        ToolError: It failed, took longer than the message may, or was refused.
    """
    try:
        async with asyncio.timeout(deadline.remaining()):
            return await call
    except TimeoutError:
        raise ToolError(f"{name} took longer than one message may, so I stopped waiting for it.") from None
    except ConfinedError as error:
        raise ToolError(f"{name} was refused: {error}.") from None
    except DeputyError:
        raise
    except Exception as error:  # the outermost edge of somebody else's code; its text may quote a secret
        kind = type(error).__name__
    raise ToolError(f"{name} failed ({kind}).")
