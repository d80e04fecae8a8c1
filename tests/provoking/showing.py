"""What an error shows to whoever meets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2

from app.errors import DeputyError
from containers.proof import LifetimeError
from containers.scopes import ScopeError
from containers.testing import IsolationError, two_principals

Shown = tuple[str, str]  # the class of an error and its text
Provoke = Callable[[Path], Awaitable[Shown]]  # given a folder of its own, which is the working directory too

ADA, GRACE = two_principals()
READ_MAIL = "https://www.googleapis.com/auth/gmail.readonly"


async def raised(work: Awaitable[object]) -> Shown:
    """What this work raises."""
    try:
        await work
    except (DeputyError, LifetimeError, ScopeError, IsolationError, OSError) as error:
        return shown(error)
    raise AssertionError("nothing was raised")


def shown(error: Exception) -> Shown:
    """An error's class and text."""
    return type(error).__name__, str(error)


def answered(response: httpx2.Response) -> Shown:
    """What an HTTP response says went wrong."""
    told = response.json()
    return told["error"], told["detail"]
