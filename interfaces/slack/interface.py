"""POST /slack/events, /slack/commands and /slack/interactions.

https://docs.slack.dev/apis/events-api and https://docs.slack.dev/interactivity/handling-user-interaction
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.errors import InvalidMessageError, UnauthenticatedError
from app.log_once import LogOnce
from interfaces.slack.event import read_id
from interfaces.slack.inbound import SlackInbound
from interfaces.slack.verification import verify

log = logging.getLogger(__name__)

_FIELDS_AT_MOST = 100


class SlackRoutes:
    """Handles the requests that Slack signs. Lives as long as the process and holds no message.

    Args:
        inbound: Takes what was signed.
        signing_secret: The app's signing secret.
        now: The time, POSIX seconds.
    """

    def __init__(self, inbound: SlackInbound, *, signing_secret: str, now: Callable[[], float] = time.time) -> None:
        self._inbound = inbound
        self._signing_secret = signing_secret
        self._now = now
        self._log = LogOnce(log)

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter()
        routes.add_api_route("/slack/events", self.post_event, methods=["POST"])
        routes.add_api_route("/slack/commands", self.post_command, methods=["POST"])
        routes.add_api_route("/slack/interactions", self.post_interaction, methods=["POST"])
        return routes

    async def post_event(self, request: Request) -> JSONResponse:
        """Store a person's message and acknowledge it; the answer is posted later."""
        payload = _parse(await self._signed(request))
        if payload.get("type") == "url_verification":
            return JSONResponse({"challenge": read_id(payload, "challenge")})
        await self._inbound.take_event(payload)
        return JSONResponse({"ok": True})

    async def post_command(self, request: Request) -> JSONResponse:
        """Store a slash command; the line that is returned is shown to its person alone, and holds nothing private."""
        line = await self._inbound.take_command(_form(await self._signed(request)))
        return JSONResponse({"response_type": "ephemeral", "text": line})

    async def post_interaction(self, request: Request) -> Response:
        """Store a click as a message of the person who clicked."""
        await self._inbound.take_click(_parse(_form(await self._signed(request)).get("payload", "").encode()))
        return Response()

    async def _signed(self, request: Request) -> bytes:
        """Return the body of a request that Slack signed.

        Raises:
            UnauthenticatedError: Slack did not sign it, or not within the last five minutes.
        """
        body = await request.body()
        try:
            verify(self._signing_secret, body, request.headers, now=self._now())
        except UnauthenticatedError as error:
            self._log.warning("signature", "POST %s was refused: %s", request.url.path, error)
            raise
        return body


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form, each once."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_AT_MOST))
    except ValueError:
        raise InvalidMessageError("the body is not a form") from None


def _parse(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidMessageError("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise InvalidMessageError("the body is not a JSON object")
    return payload
