"""A Slack on loopback that only counts replies, so that it costs both sides of a comparison the same and little.

It knows no tokens and checks nothing; correctness is tested elsewhere, against `app.sandbox.slack`.
"""

from __future__ import annotations

import time
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

BOT_USER, TEAM = "U0BOT", "T0BENCH"
_ANSWER = b"harbour"  # in the model's answer, but not in an apology or a sign of life
_POSTS = frozenset({"chat.postMessage", "chat.update", "chat.stopStream"})

_NEEDED: dict[str, dict[str, Any]] = {
    "auth.test": {"team_id": TEAM, "user_id": BOT_USER, "bot_id": "B0BENCH", "user": "deputy", "team": "Bench"},
    "conversations.info": {"channel": {"id": "D0", "name": "direct", "is_im": True}},
    "conversations.open": {"channel": {"id": "D0"}},
    "users.info": {"user": {"id": "U0", "name": "someone", "profile": {"real_name": "Someone"}}},
    "chat.startStream": {"channel": "D0"},
}


class CountingSlack:
    """Answers every method with ok. Lives as long as one measurement.

    Attributes:
        app: The ASGI application; its methods are below ``/api/``.
        replies: The time of the first answer in each channel; monotonic clock, seconds.
    """

    def __init__(self) -> None:
        self.replies: dict[str, float] = {}
        self._numbers = count(1)
        self.app = Starlette(routes=[Route("/api/{method}", self._call, methods=["GET", "POST"])])

    async def _call(self, request: Request) -> Response:
        method = request.path_params["method"]
        ts = f"1800000000.{next(self._numbers):06}"
        answer: dict[str, Any] = {"ok": True, "ts": ts, **_NEEDED.get(method, {})}
        if method in _POSTS:
            answered = _ANSWER in await request.body()  # the request keeps it for the next reader
            channel = await _channel(request)
            if answered:
                self.replies.setdefault(channel, time.monotonic())
            answer |= {"channel": channel, "message": {"text": "", "ts": ts}}
        return JSONResponse(answer)


async def _channel(request: Request) -> str:
    if request.headers.get("content-type", "").startswith("application/json"):
        return str((await request.json())["channel"])
    async with request.form() as form:
        return str(form["channel"])
