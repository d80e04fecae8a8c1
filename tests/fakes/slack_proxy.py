"""A proxy in front of Slack's Web API that records calls and refuses some."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from containers.testing.app import PATIENCE_SECONDS as PATIENCE_SECONDS  # for every wait on a server


class SlackProxy:
    """A proxy in front of Slack's Web API that records calls and refuses those that a test names.

    Attributes:
        asked: The arguments of every call, oldest first.
        faults: By channel, the errors that answer the next calls, such as ``ratelimited``; "" lets one pass.
        broken: By channel, errors that answer the next calls although Slack has executed them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.asked: list[dict[str, Any]] = []
        self.faults: defaultdict[str, deque[str]] = defaultdict(deque)
        self.broken: defaultdict[str, deque[str]] = defaultdict(deque)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        is_json = "application/json" in request.headers.get("content-type", "")
        asked = json.loads(body) if is_json and body else dict(request.query_params)
        if "channel" not in asked:
            await self._again(scope, body, send)  # about a person, such as users.info
            return
        self.asked.append(asked)
        faults = self.faults[self.asked[-1]["channel"]]
        if fault := faults.popleft() if faults else "":
            # https://docs.slack.dev/apis/web-api/rate-limits
            refusal = JSONResponse({"ok": False, "error": fault}, 429, headers={"Retry-After": "1"})
            await refusal(scope, receive, send)
            return
        if broken := self.broken[self.asked[-1]["channel"]]:
            await self._again(scope, body, _nowhere)
            await JSONResponse({"ok": False, "error": broken.popleft()}, 500)(scope, receive, send)
            return
        await self._again(scope, body, send)

    async def _again(self, scope: Scope, body: bytes, send: Send) -> None:
        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


async def _nowhere(message: Message) -> None:
    """Discard a message."""
