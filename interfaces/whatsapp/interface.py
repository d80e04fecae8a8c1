"""GET and POST /whatsapp/webhook."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from app.consent.revocation import Revocation
from app.delivery.work.intake import Intake
from app.errors import (
    DeputyError,
    InvalidMessageError,
    OffboardedError,
    PrincipalError,
    UnauthenticatedError,
    UnavailableError,
)
from app.log_once import LogOnce
from app.principal import Principal
from interfaces.whatsapp.arrivals import Arrivals
from interfaces.whatsapp.inbound import Inbound
from interfaces.whatsapp.payload import Change, Part, changes, parse
from interfaces.whatsapp.verification import challenge, verify

log = logging.getLogger(__name__)

_REVOCATION_SECONDS = 5.0  # Meta waits for its answer; what is not done by then, the janitor does


class WhatsAppWebhook:
    """Handles what Meta posts. Lives as long as the process and holds no message.

    Args:
        phone_number_id: The business number whose messages are taken.
        app_secret: The Meta app's secret.
        verify_token: The token with which Meta checks the address.
    """

    def __init__(
        self,
        intake: Intake,
        inbound: Inbound,
        arrivals: Arrivals,
        revocation: Revocation,
        *,
        phone_number_id: str,
        app_secret: str,
        verify_token: str,
    ) -> None:
        self._intake = intake
        self._inbound = inbound
        self._arrivals = arrivals
        self._revocation = revocation
        self._phone_number_id = phone_number_id
        self._app_secret = app_secret
        self._verify_token = verify_token
        self._log = LogOnce(log)

    def router(self) -> APIRouter:
        """Return the routes."""
        routes = APIRouter()
        routes.add_api_route("/whatsapp/webhook", self.get_challenge, methods=["GET"])
        routes.add_api_route("/whatsapp/webhook", self.post_changes, methods=["POST"])
        return routes

    async def get_challenge(self, request: Request) -> PlainTextResponse:
        """Answer Meta's check of the address."""
        return PlainTextResponse(challenge(self._verify_token, request.query_params))

    async def post_changes(self, request: Request) -> JSONResponse:
        """Store every message of a batch and acknowledge it; the answers are sent later.

        If one cannot be stored for now, the others are, and Meta is asked to send the batch again: those that are
        stored already are known by their ids.
        """
        body = await request.body()
        try:
            verify(self._app_secret, body, request.headers)
        except UnauthenticatedError as error:
            self._log.warning("signature", "POST /whatsapp/webhook was refused: %s", error)
            raise
        refused: list[UnavailableError] = []  # a list, so that no variable keeps the error that is raised
        for change in changes(parse(body)):
            if change.phone_number_id != self._phone_number_id:
                words = "a webhook about another business number is ignored; check interfaces.whatsapp.phone_number_id"
                self._log.warning("phone_number_id", words)
                continue
            for status in change.statuses:
                self._arrivals.note(status)
            for message in change.messages:
                try:
                    await self._take(message, change)
                except UnavailableError as error:
                    refused.append(error)
        if refused:
            raise refused.pop()
        return JSONResponse({"ok": True})

    async def _take(self, message: Part, change: Change) -> None:
        """Store a message, or pass it over if it cannot be answered: refused, Meta would send it for days."""
        for former in self._inbound.former(message):
            await self._end(former)
        try:
            inbound = self._inbound.message(message, change)
            if inbound is None:
                return
            await self._intake.accept(inbound)
        except OffboardedError as error:
            log.warning("a message was ignored: %s", error)
        except (InvalidMessageError, PrincipalError) as error:
            self._log.warning(str(error), "a message was ignored: %s", error)

    async def _end(self, former: Principal) -> None:
        """End the access of a person whose number or id has changed: the next one with it may be somebody else."""
        try:
            async with asyncio.timeout(_REVOCATION_SECONDS):
                await self._revocation.end(former)
        except (DeputyError, TimeoutError) as error:
            log.warning("the access of %s is ended later (%s)", former, type(error).__name__)
