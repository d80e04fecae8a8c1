"""When people are busy.

https://developers.google.com/workspace/calendar/api/v3/reference/freebusy/query
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.calendar.calendars import Calendar, Calendars, zone_of
from app.sandbox.google.calendar.times import merged, read_instant

_MOST = 50  # calendars


class FreeBusy:
    """The handler of free/busy queries: colleagues see when others are busy, and not why. Lives with the sandbox."""

    def __init__(self, calendars: Calendars) -> None:
        self._calendars = calendars
        self.handlers: Mapping[str, Handler] = {"calendar.freebusy.query": self._query}

    def _query(self, request: ApiRequest) -> Mapping[str, Any]:
        body = request.body
        if "timeMin" not in body or "timeMax" not in body:
            raise ApiError(400, "Missing timeMin or timeMax parameter.", "required")
        start, end = (read_instant(body[name], name) for name in ("timeMin", "timeMax"))
        if start >= end:
            raise ApiError(400, "The specified time range is empty.", "timeRangeEmpty")
        items = [item.get("id", "") for item in body.get("items", [])]
        if len(items) > min(body.get("calendarExpansionMax", _MOST), _MOST):
            raise ApiError(400, "The number of calendars exceeds the limit.", "tooManyCalendarsRequested")
        return {
            "kind": "calendar#freeBusy",
            "timeMin": _stamp(start),
            "timeMax": _stamp(end),
            "calendars": {name: self._busy(name, request, start, end) for name in items},
        }

    def _busy(self, name: str, request: ApiRequest, start: datetime, end: datetime) -> dict[str, Any]:
        person = self._calendars.people.get(request.person.email if name == "primary" else name.lower())
        if person is None:
            return {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
        calendar = self._calendars.primary(person)
        return {
            "busy": [{"start": _stamp(first), "end": _stamp(last)} for first, last in self._spans(calendar, start, end)]
        }

    def _spans(self, calendar: Calendar, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        zone, email = zone_of(calendar), calendar.owner.email
        spans = []
        for event in self._calendars.inside(calendar):
            guest = event.guest(email)
            declined = guest is not None and guest.response == "declined"
            if event.cancelled or declined or event.fields.get("transparency") == "transparent":
                continue
            for instance in event.instances(start, end, zone):
                first, last = instance.span.within(zone)
                spans.append((max(first, start), min(last, end)))
        return merged(spans)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
