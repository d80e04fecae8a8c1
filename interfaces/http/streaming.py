"""A message's answer as server-sent events, sent while it is being written."""

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

KEEP_ALIVE_SECONDS = 15.0  # proxies close a connection that is silent for a minute; the standard advises this interval


def wants_events(accept: str | None) -> bool:
    """Return whether a client asks for events, by its Accept header."""
    kinds = (part.partition(";")[0].strip().lower() for part in (accept or "").split(","))
    return EventSourceResponse.media_type in kinds


def respond(message: StoredMessage, listening: Listening, status: ReadStatus) -> EventSourceResponse:
    """Return a response that streams the message's events, and asks proxies not to buffer it."""
    events = message_events(message, listening, status, keep_alive_seconds=KEEP_ALIVE_SECONDS)
    return EventSourceResponse(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def message_events(
    message: StoredMessage, listening: Listening, status: ReadStatus, *, keep_alive_seconds: float
) -> AsyncIterator[bytes]:
    """Yield the events of one message: ``accepted``, then the progress of its run, and finally its ``status``.

    Args:
        message: The message as it was accepted.
        listening: The progress of its run.
        status: Returns the message's status once it is ended or parked; awaited at the same time.
        keep_alive_seconds: Send a comment after this much silence.
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
