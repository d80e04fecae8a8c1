"""Shortcuts for things that libraries do slowly once per process, and tests do hundreds of times."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import httpcore2
import pytest
import uvicorn.server
from httpx2._config import DEFAULT_TIMEOUT_CONFIG
from openai import _base_client
from sqlalchemy.engine import Engine

import app.main
from app.google.apis import GoogleApis
from app.oauth import retrying
from interfaces.telegram.pace import Pace
from tests.fakes.building import build_when_used
from tests.fakes.proofs import proved_once
from tests.fakes.remembering import remember

_GLANCE_SECONDS = 0.005
_PATIENCE_SECONDS = 60.0


@contextmanager
def haste() -> Iterator[None]:
    """Speed up servers, HTTP clients and databases until the block ends.

    - Uvicorn checks ten times a second whether to stop, and then whether its connections are closed. Here it is woken,
      and checks every 5 ms while it stops.
    - An HTTP client times out after 5 s, which a busy machine may exceed. Here it waits for a minute.
    - An HTTP client reads the system's certificates in 25 ms. Here all clients share what the first one read.
    - SQLAlchemy compiles each statement once per engine. Here all engines of one kind of database share them.
    - A server proves the lifetimes of its container in 70 ms. Here each graph is proved once.
    - The import of Telegram's SDK builds all of its types in 5 s. Here each is built when it is first used.
    - FastAPI and the proof of lifetimes inspect the same functions and types for every server. Here they do it once.
    - A server loads all of Google's APIs at its start in 60 ms. Here each is loaded when it is first used.
    - The bot waits between two messages in a Telegram chat. Here it does not; tests of that pass the times.
    - A call to Google that failed temporarily is repeated after a second. Here it is repeated after 5 ms.
    - The client of models retries after half a second, and then after a second. Here it retries after 5 ms.
    - Hypothesis reads all of the code for constants to try. Here it tries its own and those of the test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _Impatient("asyncio"))
        patch.setattr(uvicorn.Server, "main_loop", _until_told)
        patch.setattr(uvicorn.Server, "should_exit", _ShouldExit(), raising=False)
        for phase in ("connect", "read", "write", "pool"):
            patch.setattr(DEFAULT_TIMEOUT_CONFIG, phase, _PATIENCE_SECONDS)
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        patch.setattr(Engine, "_compiled_cache", _SharedStatements(), raising=False)
        remember(patch)
        build_when_used(patch)
        patch.setattr(app.main, "prove_lifetimes", proved_once(app.main.prove_lifetimes))
        patch.setattr(GoogleApis, "load", lambda _: None)
        patch.setattr(Pace.__init__, "__defaults__", (0.0, 0.0, *(Pace.__init__.__defaults__ or ())[2:]))
        patch.setattr(retrying, "FIRST_PAUSE_SECONDS", _GLANCE_SECONDS)
        patch.setattr(_base_client, "MAX_RETRY_DELAY", _GLANCE_SECONDS)
        if (providers := sys.modules.get("hypothesis.internal.conjecture.providers")) is not None:
            patch.setattr(providers, "_get_local_constants", lambda: providers._local_constants)
        yield


class _Impatient(ModuleType):
    """The module asyncio, with short sleeps."""

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep for 5 ms at most."""
        await asyncio.sleep(min(seconds, _GLANCE_SECONDS))


class _ShouldExit:
    """The attribute `should_exit` of Uvicorn's servers, which wakes a server when it is set."""

    def __get__(self, server: Any, owner: type) -> bool:
        return server is not None and self._told(server).is_set()

    def __set__(self, server: Any, value: bool) -> None:
        if value:
            self._told(server).set()

    @staticmethod
    def _told(server: Any) -> asyncio.Event:
        told: asyncio.Event = vars(server).setdefault("_told_to_exit", asyncio.Event())
        return told


async def _until_told(server: uvicorn.Server) -> None:
    """Serve until the server is stopped; its Date header stays as it was at the start."""
    await server.on_tick(0)
    await _ShouldExit._told(server).wait()


class _SharedStatements:
    """The attribute `_compiled_cache` of SQLAlchemy's engines, one for all; an engine's own is never used.

    A compiled statement depends only on the kind of database, because all engines here are made with the same
    arguments.
    """

    def __init__(self) -> None:
        self._compiled: dict[Hashable, Any] = {}

    def __get__(self, engine: object, owner: type) -> _SharedStatements:
        return self

    def __set__(self, engine: object, value: object) -> None:
        """Ignore an engine's own cache."""

    def get(self, key: tuple[Any, ...]) -> Any:
        """Return the compiled statement, or None."""
        return self._compiled.get(self._shared(key))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        self._compiled[self._shared(key)] = compiled

    @staticmethod
    def _shared(key: tuple[Any, ...]) -> Hashable:
        dialect, *rest = key
        return (type(dialect), *rest)
