"""The class and the text of an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2

from app.errors import DeputyError
from containers.proof import LifetimeError
from containers.scopes import ScopeError
from containers.testing import IsolationError, two_principals

Shown = tuple[str, str]  # the class of an error and its text
Provoke = Callable[[Path], Awaitable[Shown]]  # called with a new folder, which is also the working directory

ADA, GRACE = two_principals()
READ_MAIL = "https://www.googleapis.com/auth/gmail.readonly"


async def raised(work: Awaitable[object]) -> Shown:
    """Return the error that this work raises."""
    try:
        await work
    except (DeputyError, LifetimeError, ScopeError, IsolationError, OSError) as error:
        return shown(error)
    raise AssertionError("nothing was raised")


def shown(error: Exception) -> Shown:
    """Return an error's class and text."""
    return type(error).__name__, str(error)


def answered(response: httpx2.Response) -> Shown:
    """Return the error in an HTTP response."""
    told = response.json()
    return told["error"], told["detail"]
