"""POST /slack/events (https://docs.slack.dev/apis/events-api)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.delivery.door import Door
from app.errors import InvalidMessageError, OffboardedError
from app.messages import MAX_TEXT_LENGTH, InboundMessage
from app.offboarding import Offboarding
from app.principal import Principal
from interfaces.slack.formatting import plain
from interfaces.slack.verification import verify

_PERSONS_SUBTYPES = (None, "file_share", "thread_broadcast")  # every other one is an edit, a notice or a bot


log = logging.getLogger(__name__)


def router(*, door: Any, offboarding: Any, signing_secret: str, now: Callable[[], float] = time.time) -> APIRouter:
    """The route that Slack posts events to.

    Args:
        door: Depends: the Door.
        offboarding: Depends: the Offboarding.
        signing_secret: The app's.
        now: The time, POSIX seconds.
    """
    routes = APIRouter()

    @routes.post("/slack/events")
    async def post_event(request: Request, door: Door = door, offboarding: Offboarding = offboarding) -> JSONResponse:
        """Store what a person wrote, and acknowledge; the answer is posted later."""
        body = await request.body()
        verify(signing_secret, body, request.headers, now=now())
        payload = _parse(body)
        if payload.get("type") == "url_verification":
            return JSONResponse({"challenge": _name(payload, "challenge")})
        leaver = find_leaver(payload)
        if leaver is not None:
            await offboarding.begin(leaver)
        message = find_message(payload)
        if message is not None:
            try:
                await door.accept(message)
            except OffboardedError as error:
                log.warning("a message was ignored: %s", error)  # refused, Slack would send it again
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


def find_leaver(payload: Mapping[str, Any]) -> Principal | None:
    """Who was deactivated by this event (https://docs.slack.dev/reference/events/user_change), or None.

    Only a person of the workspace, or of the organisation, that the event is from: in a shared channel Slack also
    tells of other companies' people, whose own workspace decides about them.

    Raises:
        InvalidMessageError: The event does not say who or of which team.
    """
    event = payload.get("event")
    if payload.get("type") != "event_callback" or not isinstance(event, dict) or event.get("type") != "user_change":
        return None
    changed = event.get("user")
    if not isinstance(changed, dict) or changed.get("deleted") is not True:
        return None
    team, organisation = _name(payload, "team_id"), payload.get("enterprise_id")
    in_organisation = changed.get("enterprise_user")
    theirs = in_organisation.get("enterprise_id") if isinstance(in_organisation, dict) else None
    if organisation and theirs == organisation:
        return Principal("slack", _name(payload, "enterprise_id"), _name(changed, "id"))
    if changed.get("team_id") != team:
        return None
    return Principal("slack", organisation or team, _name(changed, "id"))


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
