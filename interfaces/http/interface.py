"""POST /v1/messages and what belongs to it."""

from __future__ import annotations

import asyncio
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from app.agents.agent import Agent
from app.delivery.replies.status import Status, Statuses
from app.delivery.replies.streams import Streams
from app.delivery.store.inbox import Inbox
from app.delivery.work.intake import Intake
from app.errors import NotFoundError
from app.messages import MAX_TEXT_LENGTH, InboundMessage, MessageState
from app.principal import Principal
from interfaces.http import streaming
from interfaces.http.client import HttpChannel
from interfaces.http.formatting import as_json

_MESSAGE_ID = re.compile(r"[0-9a-f]{32}")  # nothing else reaches the database: PostgreSQL fails on NUL
_ENDED = frozenset({MessageState.DONE, MessageState.FAILED})
_ANSWERED = _ENDED | {MessageState.PARKED}
_LOOK_AGAIN_SECONDS = 1.0  # another replica may answer, and it cannot wake this one
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


def router(
    *,
    principal: Any,
    intake: Any,
    inbox: Any,
    statuses: Any,
    channel: Any,
    streams: Any,
    agent: Any,
    wait_seconds: float,
) -> APIRouter:
    """The routes below /v1.

    Args:
        principal: Depends: whose request it is.
        intake: Depends: the Intake.
        inbox: Depends: the Inbox.
        statuses: Depends: the Statuses.
        channel: Depends: the HttpChannel.
        streams: Depends: the Streams.
        agent: Depends: the person's Agent, scoped to the request.
        wait_seconds: How long a POST waits for its answer.
    """
    routes = APIRouter(prefix="/v1")

    @routes.post("/messages")
    async def post_message(
        body: MessageBody,
        principal: Principal = principal,
        intake: Intake = intake,
        inbox: Inbox = inbox,
        statuses: Statuses = statuses,
        channel: HttpChannel = channel,
        streams: Streams = streams,
        accept: Annotated[str | None, Header()] = None,
        until_sent: ExitStack = Depends(_until_sent),
    ) -> Response:
        """Accept a message and wait a while for its answer: 200 with it, or 202 with what is still to come.

        A client that accepts events is sent what happens meanwhile, and waits as long as the message takes.
        """
        accepted = await intake.accept(_inbound(principal, body))
        waiter = _Waiter(inbox, statuses, channel)
        if streaming.wants_events(accept):
            # At once, before the worker's task has its turn: a run that has begun tells nobody new.
            listening = until_sent.enter_context(streams.listening(accepted))
            status = partial(waiter.status, principal, accepted.message_id, _ANSWERED, math.inf)
            return streaming.respond(accepted, listening, status)
        return _respond(
            accepted.message_id, await waiter.status(principal, accepted.message_id, _ANSWERED, wait_seconds)
        )

    @routes.get("/messages/{message_id}")
    async def get_message(
        message_id: str,
        wait: Annotated[float, Query(ge=0, le=_MAX_WAIT_SECONDS)] = 0.0,
        principal: Principal = principal,
        inbox: Inbox = inbox,
        statuses: Statuses = statuses,
        channel: HttpChannel = channel,
    ) -> JSONResponse:
        """How a message of one's own stands; waits up to `wait` seconds for its end."""
        if not _MESSAGE_ID.fullmatch(message_id):
            raise NotFoundError("there is no such message of yours")  # the words for somebody else's
        waiter = _Waiter(inbox, statuses, channel)
        return _respond(message_id, await waiter.status(principal, message_id, _ENDED, wait))

    @routes.get("/me")
    async def get_me(agent: Agent = agent) -> dict[str, Any]:
        """Who the token stands for, and what their assistant can do."""
        tools = [
            {"name": name, "effect": spec.effect.value, "oauth_scopes": list(spec.oauth_scopes)}
            for name, spec in agent.tools().items()
        ]
        return {"principal": str(agent.principal), "agent": agent.name, "tools": tools}

    return routes


async def _until_sent() -> AsyncIterator[ExitStack]:
    """What is entered here is left once the response is sent, or its client is gone."""
    with ExitStack() as stack:
        yield stack


def _inbound(principal: Principal, body: MessageBody) -> InboundMessage:
    """Event ids and conversations are names that a person chose, so the person is part of them."""
    person = f"{len(principal.user)}:{principal.user}"  # with its length, so that no two pairs read the same
    return InboundMessage(
        principal=principal,
        event_id=f"{person}:{body.id or uuid.uuid4().hex}",
        conversation=f"{person}:{body.conversation}",
        text=body.text,
    )


class _Waiter:
    """Waits for a message's status within one HTTP request."""

    def __init__(self, inbox: Inbox, statuses: Statuses, channel: HttpChannel) -> None:
        self._inbox = inbox
        self._statuses = statuses
        self._channel = channel

    async def status(
        self, principal: Principal, message_id: str, until: Collection[MessageState], seconds: float
    ) -> Status:
        """The status once the message is in one of these states, or as it is when the time is over."""
        deadline = time.monotonic() + seconds
        with self._channel.waiting(message_id) as told:
            while True:
                told.clear()
                message = await self._inbox.get(principal, message_id)
                remaining = deadline - time.monotonic()
                if message.state in until or remaining <= 0 or self._channel.ended:
                    return await self._statuses.of(message)
                try:
                    await asyncio.wait_for(told.wait(), min(remaining, _LOOK_AGAIN_SECONDS))
                except TimeoutError:
                    continue


def _respond(message_id: str, status: Status) -> JSONResponse:
    return JSONResponse(as_json(message_id, status), 200 if status.state in _ENDED else 202)
