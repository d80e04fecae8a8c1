"""POST /slack/events (https://docs.slack.dev/apis/events-api)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.delivery.door import Door
from app.errors import InvalidMessageError
from app.messages import MAX_TEXT_LENGTH, InboundMessage
from app.principal import Principal
from interfaces.slack.formatting import plain
from interfaces.slack.verification import verify

_PERSONS_SUBTYPES = (None, "file_share", "thread_broadcast")  # every other one is an edit, a notice or a bot


def router(*, door: Any, signing_secret: str, now: Callable[[], float] = time.time) -> APIRouter:
    """The route that Slack posts events to.

    Args:
        door: Depends: the Door.
        signing_secret: The app's.
        now: The time, POSIX seconds.
    """
    routes = APIRouter()

    @routes.post("/slack/events")
    async def post_event(request: Request, door: Door = door) -> JSONResponse:
        """Store what a person wrote, and acknowledge; the answer is posted later."""
        body = await request.body()
        verify(signing_secret, body, request.headers, now=now())
        payload = _parse(body)
        if payload.get("type") == "url_verification":
            return JSONResponse({"challenge": _name(payload, "challenge")})
        message = find_message(payload)
        if message is not None:
            await door.accept(message)
        return JSONResponse({"ok": True})

    return routes


def find_message(payload: Mapping[str, Any]) -> InboundMessage | None:
    """What a person wrote to the assistant, or None for every other event: bots, edits, joins, other people's talk.

    A direct chat is one conversation, and so is each thread; a mention outside a thread begins one.

    Raises:
        InvalidMessageError: The event lacks what Slack documents for its kind.
    """
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict):
        return None
    direct = event.get("type") == "message" and event.get("channel_type") == "im"
    if not direct and event.get("type") != "app_mention":
        return None
    if event.get("bot_id") or event.get("subtype") not in _PERSONS_SUBTYPES:
        return None
    text = plain(str(event.get("text") or ""))
    if not text:
        return None
    channel = _name(event, "channel")
    in_thread = event.get("thread_ts") is not None
    thread = _name(event, "thread_ts" if in_thread else "ts") if in_thread or not direct else None
    return InboundMessage(
        principal=sender(payload),
        event_id=_name(payload, "event_id"),
        conversation=f"{channel}:{thread or ''}",
        text=text[:MAX_TEXT_LENGTH],
        address={"channel": channel, "thread_ts": thread, "direct": direct},
        payload=f"{channel}:{event['ts']}" if isinstance(event.get("ts"), str) else None,
    )


def sender(payload: Mapping[str, Any]) -> Principal:
    """Who wrote the message, in the tenant that they themselves are of.

    In a channel that two companies share (Slack Connect) the receiving team is not the sender's: Slack names the
    sender's in ``user_team``. An organisation (Enterprise Grid) numbers its people across its teams.

    Raises:
        InvalidMessageError: The event does not say who or in which team.
    """
    event = payload["event"]
    receiving_team = _name(payload, "team_id")
    team = event.get("user_team") or event.get("team") or receiving_team
    organisation = payload.get("enterprise_id") if team == receiving_team else None
    return Principal("slack", organisation or team, _name(event, "user"))


def _name(place: Mapping[str, Any], key: str) -> str:
    """What Slack calls something; two events without an id must not be taken for one."""
    name = place.get(key)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise InvalidMessageError(f"the event has no {key}, or it is no name")
    return name


def _parse(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidMessageError("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise InvalidMessageError("the body is not a JSON object")
    return payload
