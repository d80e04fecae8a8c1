"""Events found and changed, one instance of a series included."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from app.sandbox.google.api import ApiError, ApiRequest
from app.sandbox.google.calendar.calendars import Calendar, Calendars, zone_of
from app.sandbox.google.calendar.event import Event

_INSTANCE = re.compile(r"(?P<series>[a-v0-9]{5,1024})_(?P<at>\d{8}(?:T\d{6}Z)?)")
_ID = re.compile(r"[a-v0-9]{5,1024}")  # base32hex, as the reference of events.insert says


class EventStore:
    """Everybody's events. Lives with the sandbox.

    Args:
        calendars: The calendars.
        now: The clock, in seconds since the epoch.
    """

    def __init__(self, calendars: Calendars, now: Callable[[], float]) -> None:
        self._calendars = calendars
        self._now = now

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.fromtimestamp(self._now(), UTC)

    def new_id(self, wanted: str | None) -> str:
        """Return the id of an event that is about to be made.

        Raises:
            ApiError: The id that the caller wants is invalid or taken.
        """
        if wanted is None:
            return "".join(secrets.choice("0123456789abcdefghijklmnopqrstuv") for _ in range(26))
        if not _ID.fullmatch(wanted):
            raise ApiError(400, "Invalid resource id value.", "invalid")
        if wanted in self._calendars.events:
            raise ApiError(409, "The requested identifier already exists.", "duplicate")
        return wanted

    def put(self, event: Event) -> Event:
        """Keep an event in place of its earlier version, and return it."""
        kept = replace(event, changes=event.changes + 1, updated=self.now())
        self._calendars.events[kept.event_id] = kept
        return kept

    def find(self, calendar: Calendar, event_id: str) -> Event:
        """Return an event of a calendar, or an instance of a series as the series has it.

        Raises:
            ApiError: The calendar has no such event.
        """
        event = self._calendars.events.get(event_id) or self._instance(calendar, event_id)
        if event is None or not _stands_in(event, calendar):
            raise ApiError(404, "Not Found", "notFound")
        return event

    def part(self, event: Event) -> None:
        """Take an instance out of its series, because it is about to be changed or deleted."""
        if event.series is None or event.event_id in self._calendars.events:
            return
        series = self._calendars.events[event.series[0]]
        self.put(replace(series, skipped=series.skipped | {event.series[1]}))

    def _instance(self, calendar: Calendar, event_id: str) -> Event | None:
        match = _INSTANCE.fullmatch(event_id)
        series = self._calendars.events.get(match["series"]) if match else None
        if match is None or series is None or not series.rules:
            return None
        form = "%Y%m%dT%H%M%SZ" if "T" in match["at"] else "%Y%m%d"
        try:
            original = datetime.strptime(match["at"], form).replace(tzinfo=UTC)
        except ValueError:
            return None
        if original in series.skipped:
            return None
        found = series.instances(original, None, zone_of(calendar))
        first = next(found, None)
        return first if first is not None and first.event_id == event_id else None


def check_version(event: Event, request: ApiRequest) -> None:
    """Check the header ``If-Match``.

    Raises:
        ApiError: The caller saw an earlier version of the event.
    """
    if request.if_match is not None and request.if_match != event.etag:
        raise ApiError(412, "Precondition Failed", "conditionNotMet")


def _stands_in(event: Event, calendar: Calendar) -> bool:
    invited = calendar.primary and event.guest(calendar.owner.email) is not None
    return event.calendar_id == calendar.calendar_id or invited
