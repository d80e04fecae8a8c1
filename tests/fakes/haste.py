"""What libraries do slowly once a process, and tests do hundreds of times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

import httpcore2
import pytest
import uvicorn.server

_GLANCE_SECONDS = 0.005


@contextmanager
def haste() -> Iterator[None]:
    """Let servers stop when they are told to, and clients be made without reading all of the system's certificates.

    Uvicorn looks ten times a second whether it is to stop, and then whether its connections are closed. An HTTP client
    reads the certificates in 25 ms; here all of one process share what the first one read.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _Impatient("asyncio"))
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


class _Impatient(ModuleType):
    """The module asyncio, with short sleeps."""

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep at most for a glance."""
        await asyncio.sleep(min(seconds, _GLANCE_SECONDS))
