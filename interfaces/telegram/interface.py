"""POST /telegram/webhook (https://core.telegram.org/bots/api#setwebhook)."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.errors import InvalidMessageError, UnauthenticatedError
from app.log_once import LogOnce
from interfaces.telegram.inbound import TelegramInbound
from interfaces.telegram.verification import HEADER, verify

log = logging.getLogger(__name__)

WEBHOOK_PATH = "/telegram/webhook"


class TelegramRoutes:
    """Handles the requests that Telegram sends. Lives as long as the process and holds no message.

    Args:
        inbound: Takes the updates.
        secret: The secret that each request must bear.
    """

    def __init__(self, inbound: TelegramInbound, *, secret: str) -> None:
        self._inbound = inbound
        self._secret = secret
        self._log = LogOnce(log)

    def router(self) -> APIRouter:
        """Return the route."""
        routes = APIRouter()
        routes.add_api_route(WEBHOOK_PATH, self.post_update, methods=["POST"])
        return routes

    async def post_update(self, request: Request) -> JSONResponse:
        """Store a person's message and acknowledge it; the answer is sent later."""
        body = await request.body()  # first, or the sender of a refused request would be cut off in the middle of it
        try:
            verify(self._secret, request.headers.get(HEADER))
        except UnauthenticatedError as error:
            self._log.warning("secret", "POST %s was refused: %s", WEBHOOK_PATH, error)
            raise
        await self._inbound.take(_parse(body))
        return JSONResponse({"ok": True})


def _parse(body: bytes) -> dict[str, Any]:
    try:
        update = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidMessageError("the body is not JSON") from None
    if not isinstance(update, dict):
        raise InvalidMessageError("the body is not a JSON object")
    return update
