"""One event, and how each of its guests sees it.

https://developers.google.com/workspace/calendar/api/v3/reference/events
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from app.sandbox.google.api import ApiError
from app.sandbox.google.calendar.times import Span, moment_json

# What the organizer alone may change, and everybody who is invited sees.
SHARED_FIELDS = ("summary", "description", "location", "visibility", "guestsCanInviteOthers", "guestsCanModify",
                 "guestsCanSeeOtherGuests")  # fmt: skip
# What each person may set on their own copy.
OWN_FIELDS = ("transparency", "colorId", "reminders")
RESPONSES = ("needsAction", "declined", "tentative", "accepted")


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who is invited."""

    email: str
    response: str = "needsAction"
    optional: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as its organizer keeps it.

    Attributes:
        event_id: Its id, the same in the calendar of each guest.
        calendar_id: The organizer's calendar that it stands in.
        creator: The address of the person who made it.
        span: When it takes place; the first time, if it recurs.
        fields: Those of `SHARED_FIELDS` and `OWN_FIELDS` that are set.
        guests: The people who are invited, with the organizer if there are others.
        rules: The lines of ``recurrence``; empty for a single event.
        skipped: The original starts of instances that were changed or deleted.
        series: The id of the recurring event and the original start, if this was one of its instances.
        away: The addresses of guests who deleted it from their calendar.
        sequence: How often its time or place was changed.
        changes: How often anything was changed; it makes the etag.
    """

    event_id: str
    calendar_id: str
    creator: str
    span: Span
    created: datetime
    updated: datetime
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    guests: tuple[Guest, ...] = ()
    rules: tuple[str, ...] = ()
    skipped: frozenset[datetime] = frozenset()
    series: tuple[str, datetime] | None = None
    away: frozenset[str] = frozenset()
    cancelled: bool = False
    sequence: int = 0
    changes: int = 0

    @property
    def etag(self) -> str:
        """Return the version of the event in double quotes, as HTTP has it."""
        return f'"{sha256(f"{self.event_id}/{self.changes}".encode()).hexdigest()[:16]}"'

    def guest(self, email: str) -> Guest | None:
        """Return the invitation of a person, or None."""
        return next((guest for guest in self.guests if guest.email == email), None)

    def instances(self, start: datetime | None, end: datetime | None, zone: ZoneInfo) -> Iterator[Event]:
        """Yield what takes place between two times: the event itself, or each instance that was not changed."""
        if not self.rules:
            if self.span.overlaps(start, end, zone):
                yield self
            return
        for original in self._starts(zone):
            if end is not None and original >= end:
                return
            if original not in self.skipped and self.span.moved_to(original).overlaps(start, end, zone):
                yield self.instance(original)

    def instance(self, original: datetime) -> Event:
        """Return the instance that begins at `original`, as the series has it."""
        stamp = original.astimezone(UTC).strftime("%Y%m%d" if self.span.all_day else "%Y%m%dT%H%M%SZ")
        return replace(
            self,
            event_id=f"{self.event_id}_{stamp}",
            span=self.span.moved_to(original),
            rules=(),
            skipped=frozenset(),
            series=(self.event_id, original),
        )

    def _starts(self, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield the starts of all instances; a weekly meeting at ten stays at ten when the clocks change."""
        local = (
            self.span.start if self.span.all_day else self.span.start.astimezone(ZoneInfo(self.span.zone or zone.key))
        )
        try:
            rule = rrulestr("\n".join(self.rules), dtstart=local.replace(tzinfo=None), ignoretz=True)
        except ValueError:
            raise ApiError(400, "Invalid recurrence rule.", "invalid") from None
        for naive in rule:
            yield naive.replace(tzinfo=local.tzinfo).astimezone(UTC)

    def json(self, viewer: str, zone: ZoneInfo) -> dict[str, Any]:
        """Return the event as it stands in the calendar of a person, by address, with its times in a zone."""
        shown: dict[str, Any] = {
            "kind": "calendar#event",
            "etag": self.etag,
            "id": self.event_id,
            "iCalUID": f"{self.series[0] if self.series else self.event_id}@google.com",
            "status": "cancelled" if self.cancelled or viewer in self.away else "confirmed",
            "htmlLink": f"https://www.google.com/calendar/event?eid={self.event_id}",
            "created": _stamp(self.created),
            "updated": _stamp(self.updated),
            "eventType": "default",
            "sequence": self.sequence,
            "creator": _person(self.creator, viewer),
            "organizer": _person(self.calendar_id, viewer),
            **json.loads(json.dumps(dict(self.fields))),
            **self.span.json(zone),
        }
        if self.guests:
            shown["attendees"] = [_attendee(guest, viewer, self.calendar_id) for guest in self.guests]
        if self.rules:
            shown["recurrence"] = [*self.rules]
        if self.series:
            shown["recurringEventId"] = self.series[0]
            shown["originalStartTime"] = moment_json(self.span, self.series[1], zone)
        return shown


def _person(email: str, viewer: str) -> dict[str, Any]:
    return {"email": email, **({"self": True} if email == viewer else {})}


def _attendee(guest: Guest, viewer: str, organizer: str) -> dict[str, Any]:
    return {
        **_person(guest.email, viewer),
        "responseStatus": guest.response,
        **({"organizer": True} if guest.email == organizer else {}),
        **({"optional": True} if guest.optional else {}),
        **({"comment": guest.comment} if guest.comment else {}),
    }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
