"""A message's answer as server-sent events, while it is being written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse

from app.delivery.replies.status import Status
from app.delivery.replies.streams import Listening
from app.messages import StoredMessage
from interfaces.http.formatting import as_event, as_json, progress_as_event

ReadStatus = Callable[[], Coroutine[Any, Any, Status]]

KEEP_ALIVE_SECONDS = 15.0  # proxies close what is silent for a minute; the standard advises this interval


def wants_events(accept: str | None) -> bool:
    """Return whether a client asks for events, by its Accept header."""
    kinds = (part.partition(";")[0].strip().lower() for part in (accept or "").split(","))
    return EventSourceResponse.media_type in kinds


def respond(message: StoredMessage, listening: Listening, status: ReadStatus) -> EventSourceResponse:
    """Return a response that streams the message's events; a proxy is asked not to buffer it."""
    events = message_events(message, listening, status, keep_alive_seconds=KEEP_ALIVE_SECONDS)
    return EventSourceResponse(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def message_events(
    message: StoredMessage, listening: Listening, status: ReadStatus, *, keep_alive_seconds: float
) -> AsyncIterator[bytes]:
    """Yield the events of one message: ``accepted``, what is heard meanwhile, and last its ``status``.

    Args:
        message: As it was accepted.
        listening: What is heard of its run.
        status: Awaited beside it: how the message stands once it is ended or parked.
        keep_alive_seconds: After so long a silence a comment is sent.
    """
    ending = asyncio.create_task(status())
    ending.add_done_callback(lambda _: listening.end())
    try:
        yield as_event("accepted", {"message": message.message_id, "state": message.state.value})
        async for text in _heard(listening, keep_alive_seconds):
            yield text
        yield as_event("status", as_json(message.message_id, await ending))
    finally:
        ending.cancel()


async def _heard(listening: Listening, keep_alive_seconds: float) -> AsyncIterator[bytes]:
    while True:
        try:
            progress = await asyncio.wait_for(listening.next(), keep_alive_seconds)
        except TimeoutError:
            yield KEEPALIVE_COMMENT
            continue
        if progress is None:
            return
        yield progress_as_event(progress)
