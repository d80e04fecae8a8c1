"""POST /v1/messages, and the other routes below /v1."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from app.api_tokens import ApiTokens
from app.deadline import Deadline
from app.delivery.replies.files import ReplyFiles
from app.delivery.replies.status import Status, Statuses
from app.delivery.replies.streams import Streams
from app.delivery.replies.waiters import Waiters
from app.delivery.store.inbox import Inbox
from app.delivery.store.transcript import Transcript
from app.delivery.work.answering import OpenAgent
from app.delivery.work.intake import Intake
from app.delivery.work.stopping import Stopping
from app.errors import AttachmentError, NotFoundError
from app.messages import MAX_TEXT_LENGTH, InboundMessage, MessageState
from app.principal import Principal
from interfaces.http import streaming
from interfaces.http.formatting import as_json, file_headers
from interfaces.http.verification import bearer_token
from interfaces.http.waits import Waits, hanging_up

_MESSAGE_ID = re.compile(r"[0-9a-f]{32}")  # nothing else reaches the database: PostgreSQL fails on NUL
_ENDED = frozenset({MessageState.DONE, MessageState.FAILED})
_ANSWERED = _ENDED | {MessageState.PARKED}
_MAX_WAIT_SECONDS = 60.0
_MAX_LISTED = 100
MAX_NAME_LENGTH = 200  # characters of a client's name for a conversation


class MessageBody(BaseModel):
    """The body that a client posts.

    Attributes:
        conversation: The client's name for a conversation; each person's conversations are separate.
        id: The client's id of this message; if it is posted again, the response is the first one's status.
    """

    model_config = ConfigDict(extra="forbid")

    conversation: str = Field(min_length=1, max_length=MAX_NAME_LENGTH)
    text: str = Field(min_length=1, max_length=MAX_TEXT_LENGTH, repr=False)
    id: str | None = Field(default=None, min_length=1, max_length=200)


async def _until_sent() -> AsyncIterator[ExitStack]:
    """Yield a stack that is closed once the response has been sent or the client has disconnected."""
    with ExitStack() as stack:
        yield stack


class HttpRoutes:
    """Handles the routes below /v1. Lives as long as the process and holds no personal data.

    Args:
        wait_seconds: How long a POST waits for its answer.
        deadline_seconds: How long a request that is not a message may take.
    """

    def __init__(
        self,
        tokens: ApiTokens,
        intake: Intake,
        inbox: Inbox,
        statuses: Statuses,
        waiters: Waiters,
        streams: Streams,
        transcript: Transcript,
        open_agent: OpenAgent,
        stopping: Stopping,
        waits: Waits,
        files: ReplyFiles,
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
        self._transcript = transcript
        self._open_agent = open_agent
        self._stopping = stopping
        self._waits = waits
        self._files = files
        self._wait_seconds = wait_seconds
        self._deadline_seconds = deadline_seconds

    def router(self) -> APIRouter:
        """Return the routes; each needs a token."""
        routes = self.message_routes("/v1", self.authenticate)
        routes.add_api_route("/me", self.get_me, methods=["GET"])
        return routes

    def message_routes(self, prefix: str, authenticate: Callable[..., Awaitable[None]]) -> APIRouter:
        """Return the routes of messages below another path.

        Args:
            prefix: The path.
            authenticate: Stores the person as `request.state.principal`, or raises.
        """
        routes = APIRouter(prefix=prefix, dependencies=[Depends(authenticate)])
        routes.add_api_route("/messages", self.post_message, methods=["POST"], response_model=None)
        routes.add_api_route("/messages", self.list_messages, methods=["GET"], response_model=None)
        routes.add_api_route("/messages/{message_id}", self.get_message, methods=["GET"], response_model=None)
        routes.add_api_route(
            "/messages/{message_id}/files/{number}", self.get_file, methods=["GET"], response_model=None
        )
        routes.add_api_route("/messages/{message_id}/stop", self.stop_message, methods=["POST"], response_model=None)
        return routes

    async def authenticate(self, request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
        """Identify the person by their bearer token, and store them with the request.

        Raises:
            UnauthenticatedError: There is no token, or it is not valid.
        """
        request.state.principal = await self._tokens.principal_of(bearer_token(authorization))

    async def post_message(
        self,
        request: Request,
        body: MessageBody,
        accept: Annotated[str | None, Header()] = None,
        until_sent: ExitStack = Depends(_until_sent),
    ) -> Response:
        """Accept a message and wait for its answer; respond 200 with the answer, or 202 with the current state.

        A client that accepts events is sent the run's progress instead, for as long as the message takes.
        """
        principal = _principal(request)
        if streaming.wants_events(accept):
            until_sent.enter_context(self._waits.one(principal))
            accepted = await self._intake.accept(_inbound(principal, body))
            # Before the worker's task can run: a run that has begun accepts no new listeners.
            listening = until_sent.enter_context(self._streams.listening(accepted))
            status = partial(self._status, principal, accepted.message_id, _ANSWERED, math.inf)
            return streaming.respond(accepted, listening, status)
        accepted = await self._intake.accept(_inbound(principal, body))
        seconds = 0.0 if self._waits.are_full(principal) else self._wait_seconds
        return await self._answer(request, accepted.message_id, _ANSWERED, seconds)

    async def get_message(
        self, request: Request, message_id: str, wait: Annotated[float, Query(ge=0, le=_MAX_WAIT_SECONDS)] = 0.0
    ) -> JSONResponse:
        """Return the status of one of the caller's messages, after waiting up to `wait` seconds for it to finish."""
        return await self._answer(request, _checked(message_id), _ENDED, wait)

    async def get_file(self, request: Request, message_id: str, number: int) -> Response:
        """Return the contents of a file that goes with the answer to one of the caller's messages, read just now.

        Raises:
            NotFoundError: There is no such file, or it can no longer be read.
        """
        message = await self._inbox.get(_principal(request), _checked(message_id))
        if message.state is not MessageState.DONE or not 0 <= number < len(message.files):
            raise NotFoundError("this answer has no such file")
        file = message.files[number]
        try:
            contents = await self._files.read(message, file)
        except AttachmentError as error:
            raise NotFoundError(f"I could not read this file: {error}") from None
        return Response(contents, media_type=file.mime_type, headers=file_headers(file.name))

    async def stop_message(self, request: Request, message_id: str) -> JSONResponse:
        """Stop one of the caller's messages and return its status; one that has ended stays as it is."""
        message = await self._stopping.stop(_principal(request), _checked(message_id))
        return _respond(message_id, await self._statuses.of(message))

    async def list_messages(
        self,
        request: Request,
        conversation: Annotated[str, Query(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00]*$")],
        limit: Annotated[int, Query(ge=1, le=_MAX_LISTED)] = 20,
    ) -> JSONResponse:
        """Return the caller's latest messages in a conversation, oldest first, each with its text and status."""
        principal = _principal(request)
        found = await self._transcript.latest(principal, _own(principal, conversation), at_most=limit)
        listed = [{"text": each.text, **as_json(each.message_id, await self._statuses.of(each))} for each in found]
        return JSONResponse({"messages": listed})

    async def get_me(self, request: Request) -> dict[str, Any]:
        """Return the person whom the token identifies, and what their assistant can do."""
        async with self._open_agent(_principal(request), Deadline.after(self._deadline_seconds)) as agent:
            tools = [
                {"name": name, "effect": spec.effect.value, "oauth_scopes": list(spec.oauth_scopes)}
                for name, spec in agent.tools().items()
            ]
            return {"principal": str(agent.principal), "agent": agent.name, "tools": tools}

    async def _answer(
        self, request: Request, message_id: str, until: Collection[MessageState], seconds: float
    ) -> JSONResponse:
        """Respond with the status once the message is in one of these states, or when the time is up.

        Raises:
            OverLimitError: Too many of this person's requests are waiting.
            ClientDisconnect: The client has disconnected.
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
        """Return the status once the message is in one of these states, or when the time is up.

        Args:
            principal: The message's owner.
            message_id: The message.
            until: The states.
            seconds: How long to wait at most.
            request: Watched for a disconnect; None if the caller watches it.

        Raises:
            ClientDisconnect: The client has disconnected.
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
    """Return the person whom `authenticate` has stored with the request."""
    principal = request.state.principal
    assert isinstance(principal, Principal)
    return principal


def _checked(message_id: str) -> str:
    """Return the id of a message if it is one.

    Raises:
        NotFoundError: It cannot be, with the same words as for somebody else's message.
    """
    if not _MESSAGE_ID.fullmatch(message_id):
        raise NotFoundError("you have no such message")
    return message_id


def _inbound(principal: Principal, body: MessageBody) -> InboundMessage:
    """Return the message to store. Its ids contain the person, because each person chooses their own."""
    return InboundMessage(
        principal=principal,
        event_id=_own(principal, body.id or uuid.uuid4().hex),
        conversation=_own(principal, body.conversation),
        text=body.text,
    )


def _own(principal: Principal, name: str) -> str:
    """Return a name that a person chose as it is stored: with their id and its length, so that no two read the same."""
    return f"{len(principal.user)}:{principal.user}:{name}"


def _respond(message_id: str, status: Status) -> JSONResponse:
    return JSONResponse(as_json(message_id, status), 200 if status.state in _ENDED else 202)
