"""A Google client that sends nothing: it answers every call with text that only its own request can know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo

import httplib2
from googleapiclient.http import HttpRequest

from app.errors import ForeignRunError
from app.google.apis import GoogleApis
from app.google.blocking import BlockingLine, on_line
from app.google.client import GoogleClient
from app.principal import Principal
from app.run import current_run
from app.toolkits.zones import UNKNOWN_ZONE, PersonZone

T = TypeVar("T")


class DryGoogle(GoogleClient):
    """Answers a toolkit's calls for a dry run. Lives for one request.

    Attributes:
        foreign: The methods that another request tried to call with this client.
    """

    def __init__(self, principal: Principal, apis: GoogleApis) -> None:
        self._apis = apis
        self._run = current_run()
        self._marker = principal.user
        self.foreign: list[str] = []

    async def execute(self, request: HttpRequest, *, repeatable: bool | None = None) -> Any:
        """Return an answer that has every field."""
        try:
            self._run.check(f"The Google client that called {request.methodId}")
        except ForeignRunError:
            self.foreign.append(request.methodId)
            raise
        return Answer(self._marker)

    async def in_thread(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Run blocking code; what it asks Google is answered by text of this request's."""
        try:
            self._run.check("The Google client")
        except ForeignRunError:
            self.foreign.append("a blocking call")
            raise

        def run() -> T:
            with on_line(_DryLine(self._marker, self._apis)):
                return function(*arguments)

        return await asyncio.to_thread(run)

    async def execute_batch(self, requests: Sequence[HttpRequest], *, repeatable: bool | None = None) -> list[Any]:
        """Return an answer to each request."""
        return [await self.execute(request) for request in requests]


class DryZone(PersonZone):
    """A time zone that is known without asking anybody. Lives for one request."""

    def __init__(self) -> None:
        pass

    async def get(self) -> ZoneInfo:
        """Return UTC."""
        return UNKNOWN_ZONE


class _DryLine(BlockingLine):
    def __init__(self, marker: str, apis: GoogleApis) -> None:
        super().__init__(_never, apis)
        self._marker = marker

    def send(self, method_ids: Sequence[str], uri: str, method: str, **options: Any) -> tuple[Any, bytes]:
        """Return an answer that only its own request can know."""
        return httplib2.Response({"status": "200"}), json.dumps({"id": self._marker}).encode()


def _never(method_ids: Sequence[str]) -> NoReturn:
    raise RuntimeError("nothing is sent in a dry run")


class Answer(dict[str, Any]):
    """A JSON object that has every key; the value is another such object."""

    def __init__(self, marker: str) -> None:
        super().__init__(id=marker)
        self._marker = marker

    def __missing__(self, key: str) -> Answer:
        return Answer(self._marker)
