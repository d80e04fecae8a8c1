"""POST /v1/messages and what belongs to it."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from app.api_tokens import ApiTokens
from app.deadline import Deadline
from app.delivery.replies.status import Status, Statuses
from app.delivery.replies.streams import Streams
from app.delivery.replies.waiters import Waiters
from app.delivery.store.inbox import Inbox
from app.delivery.work.answering import OpenAgent
from app.delivery.work.intake import Intake
from app.errors import NotFoundError
from app.messages import MAX_TEXT_LENGTH, InboundMessage, MessageState
from app.principal import Principal
from interfaces.http import streaming
from interfaces.http.formatting import as_json
from interfaces.http.verification import bearer_token
from interfaces.http.waits import Waits, hanging_up

_MESSAGE_ID = re.compile(r"[0-9a-f]{32}")  # nothing else reaches the database: PostgreSQL fails on NUL
_ENDED = frozenset({MessageState.DONE, MessageState.FAILED})
_ANSWERED = _ENDED | {MessageState.PARKED}
_MAX_WAIT_SECONDS = 60.0


class MessageBody(BaseModel):
    """What a client posts.

    Attributes:
        conversation: The client's own name for a conversation; each person has their own ones.
        id: The client's id of this message: posted again, it yields the first one's status.
    """

    model_config = ConfigDict(extra="forbid")

    conversation: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=MAX_TEXT_LENGTH, repr=False)
    id: str | None = Field(default=None, min_length=1, max_length=200)


async def _until_sent() -> AsyncIterator[ExitStack]:
    """Yield a stack that is closed once the response is sent, or its client has hung up."""
    with ExitStack() as stack:
        yield stack


class HttpRoutes:
    """Handles the routes below /v1. Lives as long as the process and holds nothing of a person's.

    Args:
        wait_seconds: How long a POST waits for its answer.
        deadline_seconds: How long a request may take that is no message.
    """

    def __init__(
        self,
        tokens: ApiTokens,
        intake: Intake,
        inbox: Inbox,
        statuses: Statuses,
        waiters: Waiters,
        streams: Streams,
        open_agent: OpenAgent,
        waits: Waits,
        *,
        wait_seconds: float,
        deadline_seconds: float,
    ) -> None:
        self._tokens = tokens
        self._intake = intake
        self._inbox = inbox
        self._statuses = statuses
        self._waiters = waiters
        self._streams = streams
        self._open_agent = open_agent
        self._waits = waits
        self._wait_seconds = wait_seconds
        self._deadline_seconds = deadline_seconds

    def router(self) -> APIRouter:
        """Return the routes; each needs a token."""
        routes = APIRouter(prefix="/v1", dependencies=[Depends(self.authenticate)])
        routes.add_api_route("/messages", self.post_message, methods=["POST"], response_model=None)
        routes.add_api_route("/messages/{message_id}", self.get_message, methods=["GET"], response_model=None)
        routes.add_api_route("/me", self.get_me, methods=["GET"])
        return routes

    async def authenticate(self, request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
        """Note whose request it is, by its bearer token.

        Raises:
            UnauthenticatedError: There is no token, or it is nobody's.
        """
        request.state.principal = await self._tokens.principal_of(bearer_token(authorization))

    async def post_message(
        self,
        request: Request,
        body: MessageBody,
        accept: Annotated[str | None, Header()] = None,
        until_sent: ExitStack = Depends(_until_sent),
    ) -> Response:
        """Accept a message and wait a while for its answer: 200 with it, or 202 with the state so far.

        A client that accepts events is sent the run's progress, and waits as long as the message takes.
        """
        principal = _principal(request)
        if streaming.wants_events(accept):
            until_sent.enter_context(self._waits.one(principal))
            accepted = await self._intake.accept(_inbound(principal, body))
            # At once, before the worker's task has its turn: a run that has begun tells nobody new.
            listening = until_sent.enter_context(self._streams.listening(accepted))
            status = partial(self._status, principal, accepted.message_id, _ANSWERED, math.inf)
            return streaming.respond(accepted, listening, status)
        accepted = await self._intake.accept(_inbound(principal, body))
        seconds = 0.0 if self._waits.are_full(principal) else self._wait_seconds
        return await self._answer(request, accepted.message_id, _ANSWERED, seconds)

    async def get_message(
        self, request: Request, message_id: str, wait: Annotated[float, Query(ge=0, le=_MAX_WAIT_SECONDS)] = 0.0
    ) -> JSONResponse:
        """Return how a message of the caller's stands, after waiting up to `wait` seconds for its end."""
        if not _MESSAGE_ID.fullmatch(message_id):
            raise NotFoundError("there is no such message of yours")  # the words for somebody else's
        return await self._answer(request, message_id, _ENDED, wait)

    async def get_me(self, request: Request) -> dict[str, Any]:
        """Return whom the token stands for, and what their assistant can do."""
        async with self._open_agent(_principal(request), Deadline.after(self._deadline_seconds)) as agent:
            tools = [
                {"name": name, "effect": spec.effect.value, "oauth_scopes": list(spec.oauth_scopes)}
                for name, spec in agent.tools().items()
            ]
            return {"principal": str(agent.principal), "agent": agent.name, "tools": tools}

    async def _answer(
        self, request: Request, message_id: str, until: Collection[MessageState], seconds: float
    ) -> JSONResponse:
        """Answer with the status once the message is in one of these states, or after so many seconds.

        Raises:
            OverLimitError: Too many requests of this person wait.
            ClientDisconnect: The client has hung up.
        """
        principal = _principal(request)
        if not seconds:
            message = await self._inbox.get(principal, message_id)
            return _respond(message_id, await self._statuses.of(message))
        with self._waits.one(principal):
            return _respond(message_id, await self._status(principal, message_id, until, seconds, request))

    async def _status(
        self,
        principal: Principal,
        message_id: str,
        until: Collection[MessageState],
        seconds: float,
        request: Request | None = None,
    ) -> Status:
        """Return the status once the message is in one of these states, or after so many seconds.

        Args:
            principal: Whose message it is.
            message_id: The message.
            until: The states.
            seconds: How long to wait at most.
            request: Its client may hang up; None if something else sees to that.

        Raises:
            ClientDisconnect: The client has hung up.
        """
        deadline = time.monotonic() + seconds
        with self._waiters.waiting(message_id) as waiter:
            async with hanging_up(request, waiter.wake) if request else nullcontext() as hung_up:
                while True:
                    message = await self._inbox.get(principal, message_id)
                    remaining = deadline - time.monotonic()
                    if message.state in until or remaining <= 0 or self._waiters.ended:
                        return await self._statuses.of(message)
                    await waiter.changed(message, remaining)
                    if hung_up is not None and hung_up.done():
                        raise ClientDisconnect


def _principal(request: Request) -> Principal:
    """Return whose request it is, as `authenticate` has noted."""
    principal = request.state.principal
    assert isinstance(principal, Principal)
    return principal


def _inbound(principal: Principal, body: MessageBody) -> InboundMessage:
    """Return the message to store. Its ids contain the person, because each person chooses their own."""
    person = f"{len(principal.user)}:{principal.user}"  # with its length, so that no two pairs read the same
    return InboundMessage(
        principal=principal,
        event_id=f"{person}:{body.id or uuid.uuid4().hex}",
        conversation=f"{person}:{body.conversation}",
        text=body.text,
    )


def _respond(message_id: str, status: Status) -> JSONResponse:
    return JSONResponse(as_json(message_id, status), 200 if status.state in _ENDED else 202)
