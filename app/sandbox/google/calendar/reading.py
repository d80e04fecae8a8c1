"""Events listed and read.

https://developers.google.com/workspace/calendar/api/v3/reference/events/list
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.calendar.calendars import Calendars, zone_of
from app.sandbox.google.calendar.event import Event
from app.sandbox.google.calendar.store import EventStore
from app.sandbox.google.calendar.times import read_instant, read_zone

_MOST = 2_500


class EventReading:
    """The handlers that change nothing. Lives with the sandbox."""

    def __init__(self, calendars: Calendars, store: EventStore) -> None:
        self._calendars = calendars
        self._store = store
        self.handlers: Mapping[str, Handler] = {
            "calendar.events.list": self._list,
            "calendar.events.get": self._get,
        }

    def _list(self, request: ApiRequest) -> Mapping[str, Any]:
        calendar, asked = self._calendars.of(request), request.parameters
        start, end = (read_instant(asked[name], name) if name in asked else None for name in ("timeMin", "timeMax"))
        if start and end and start >= end:
            raise ApiError(400, "The specified time range is empty.", "timeRangeEmpty")
        by_start, single = asked.get("orderBy") == "startTime", asked.get("singleEvents", False)
        if by_start and not single:
            raise ApiError(400, "The requested ordering is not available for the particular query.", "invalid")
        zone = read_zone(asked["timeZone"]) if "timeZone" in asked else zone_of(calendar)
        found: list[Event] = []
        for event in self._calendars.inside(calendar):
            gone = event.cancelled or calendar.owner.email in event.away
            if (gone and not asked.get("showDeleted")) or not _matches(event, asked.get("q", "")):
                continue
            if single and event.rules and end is None:
                raise ApiError(400, "The sandbox expands a series only up to timeMax.", "invalid")
            if single:
                found += event.instances(start, end, zone)
            elif event.rules or event.span.overlaps(start, end, zone):
                found.append(event)
        found.sort(
            key=(lambda each: (each.span.start, each.event_id))
            if by_start
            else (lambda each: (each.updated, each.event_id))
        )
        size = min(asked.get("maxResults", 250), _MOST)
        first = _place(asked.get("pageToken"))
        page = found[first : first + size]
        more = {"nextPageToken": f"p{first + size}"} if first + size < len(found) else {}
        return {
            "kind": "calendar#events",
            "summary": calendar.summary,
            "timeZone": zone.key,
            "accessRole": "owner",
            "items": [_shown(event, request, zone) for event in page],
            **more,
        }

    def _get(self, request: ApiRequest) -> Mapping[str, Any]:
        calendar = self._calendars.of(request)
        zone = read_zone(request.parameters["timeZone"]) if "timeZone" in request.parameters else zone_of(calendar)
        return _shown(self._store.find(calendar, request.parameters["eventId"]), request, zone)


def _shown(event: Event, request: ApiRequest, zone: ZoneInfo) -> dict[str, Any]:
    """Return an event with at most ``maxAttendees`` of its guests; the person is among them."""
    shown = event.json(request.person.email, zone)
    most, guests = request.parameters.get("maxAttendees"), shown.get("attendees", [])
    if most is not None and len(guests) > most:
        shown["attendees"] = sorted(guests, key=lambda guest: not guest.get("self"))[:most]
        shown["attendeesOmitted"] = True
    return shown


def _matches(event: Event, query: str) -> bool:
    """Return whether every word of a query is in the event's texts or its guests' addresses."""
    texts = [str(event.fields.get(name, "")) for name in ("summary", "description", "location")]
    haystack = " ".join([*texts, event.calendar_id, *(guest.email for guest in event.guests)]).casefold()
    return all(word in haystack for word in query.casefold().split())


def _place(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.startswith("p") and token[1:].isascii() and token[1:].isdecimal()):
        raise ApiError(400, "Invalid page token value.", "invalid")
    return int(token[1:])
